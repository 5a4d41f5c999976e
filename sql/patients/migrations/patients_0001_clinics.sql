-- Clinics (a school is one too) with what their local conventions decide, and the people who work there.

create table public.clinic (
    id uuid primary key,
    name text not null check (length(name) between 1 and 200),
    time_zone text not null,
    region text not null check (region ~ '^[A-Z]{2}$'),
    locale text check (locale ~ '^[a-z]{2,3}(-[A-Z]{2})?$'),
    created_at timestamptz not null default now()
);

comment on column public.clinic.region is 'ISO 3166-1 alpha-2; numbers without a country code are read as of here';
comment on column public.clinic.locale is
'BCP 47; decides whether 03/04/2004 is in March or in April. Null: nothing decides';

create table public.staff (
    clinic_id uuid not null references public.clinic (id),
    id uuid not null,
    subject text not null check (length(subject) between 1 and 200),
    name text not null check (length(name) between 1 and 200),
    role text not null check (role in ('nurse', 'doctor', 'pharmacist', 'clerk', 'auditor', 'admin')),
    created_at timestamptz not null default now(),
    primary key (clinic_id, id),
    unique (clinic_id, subject)
);

comment on column public.staff.subject is 'The token''s `sub`';

alter table public.clinic enable row level security;
alter table public.clinic force row level security;
alter table public.staff enable row level security;
alter table public.staff force row level security;

create policy clinic_itself on public.clinic to cito_app
using (id = nullif(current_setting('cito.clinic_id', true), '')::uuid);

-- The owner lists all clinics (`cito clinics`) and fills them (`cito seed`); it never serves a request.
create policy owner_all on public.clinic to cito_owner using (true) with check (true);

create policy own_clinic on public.staff to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);

create policy owner_all on public.staff to cito_owner using (true) with check (true);

-- The application reads them; they are set up by whoever runs the site.
revoke insert, update, delete on public.clinic, public.staff from cito_app;
