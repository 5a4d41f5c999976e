-- Patients, the people to call for them, and who pays. Rows of one clinic are invisible to every other.

create sequence public.patient_record_number start 20000000;

create table public.patient (
    clinic_id uuid not null references public.clinic (id),
    id uuid not null,
    mrn text not null check (length(mrn) between 1 and 40),
    student_number text check (length(student_number) between 1 and 40),
    given_name text not null default '' check (length(given_name) <= 100),
    middle_name text not null default '' check (length(middle_name) <= 100),
    family_name text not null check (length(family_name) between 1 and 100),
    date_of_birth date,
    sex text not null default 'unknown' check (sex in ('female', 'male', 'other', 'unknown')),
    status text not null default 'active' check (status in ('active', 'inactive', 'deceased')),
    grade text check (length(grade) between 1 and 20),
    phone text check (length(phone) between 1 and 60),
    phone_e164 text check (phone_e164 ~ '^\+[1-9][0-9]{3,14}$'),
    phone_extension text check (length(phone_extension) between 1 and 12),
    email text check (length(email) between 3 and 254),
    address text check (length(address) between 1 and 500),
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    merged_into uuid,
    -- What searches compare: letters and digits of a record number, its digits without leading zeros, the number
    -- dialled read from its end (so that "the last digits" is a prefix), the address without case.
    mrn_key text collate "C" not null generated always as (lower(regexp_replace(mrn, '[^[:alnum:]]', '', 'g'))) stored,
    mrn_digits text collate "C" not null generated always as (ltrim(regexp_replace(mrn, '[^0-9]', '', 'g'), '0')) stored,
    student_key text collate "C" generated always as (lower(regexp_replace(student_number, '[^[:alnum:]]', '', 'g'))) stored,
    phone_reversed text collate "C" generated always as (
        reverse(ltrim(regexp_replace(coalesce(phone_e164, phone), '[^0-9]', '', 'g'), '0'))
    ) stored,
    email_key text collate "C" generated always as (lower(email)) stored,
    primary key (clinic_id, id),
    foreign key (clinic_id, merged_into) references public.patient (clinic_id, id),
    constraint patient_mrn_once exclude using btree (clinic_id with =, mrn_key with =)
    where (deleted_at is null),
    constraint patient_student_number_once exclude using btree (clinic_id with =, student_key with =)
    where (deleted_at is null and merged_into is null)
);

comment on column public.patient.merged_into is
'The record that took this one''s place; never itself merged: a merge moves earlier ones along';

create table public.emergency_contact (
    clinic_id uuid not null,
    id uuid not null,
    patient_id uuid not null,
    position smallint not null check (position between 1 and 100),
    name text not null check (length(name) between 1 and 200),
    relationship text check (length(relationship) between 1 and 60),
    phone text check (length(phone) between 1 and 60),
    phone_e164 text,
    phone_extension text,
    email text check (length(email) between 3 and 254),
    primary key (clinic_id, id),
    foreign key (clinic_id, patient_id) references public.patient (clinic_id, id) on delete cascade,
    unique (clinic_id, patient_id, position)
);

create table public.insurance (
    clinic_id uuid not null,
    id uuid not null,
    patient_id uuid not null,
    position smallint not null check (position between 1 and 100),
    payer text not null check (length(payer) between 1 and 200),
    member_number text check (length(member_number) between 1 and 60),
    group_number text check (length(group_number) between 1 and 60),
    valid_from date,
    valid_to date check (valid_to >= valid_from),
    primary key (clinic_id, id),
    foreign key (clinic_id, patient_id) references public.patient (clinic_id, id) on delete cascade,
    unique (clinic_id, patient_id, position)
);

alter table public.patient enable row level security;
alter table public.patient force row level security;
alter table public.emergency_contact enable row level security;
alter table public.emergency_contact force row level security;
alter table public.insurance enable row level security;
alter table public.insurance force row level security;

create policy own_clinic on public.patient to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);
create policy own_clinic on public.emergency_contact to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);
create policy own_clinic on public.insurance to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);

create policy owner_all on public.patient to cito_owner using (true) with check (true);
create policy owner_all on public.emergency_contact to cito_owner using (true) with check (true);
create policy owner_all on public.insurance to cito_owner using (true) with check (true);

-- A patient is never deleted by the application: DELETE sets deleted_at.
revoke delete on public.patient from cito_app;

-- A patient as it is shown, lists included: one query for a profile, and for a page of a search.
create view public.patient_profile with (security_invoker = true) as
select
    p.clinic_id, p.id,
    json_build_object(
        'id', p.id, 'mrn', p.mrn, 'studentNumber', p.student_number,
        'firstName', nullif(p.given_name, ''), 'middleName', nullif(p.middle_name, ''), 'lastName', p.family_name,
        'dateOfBirth', p.date_of_birth, 'sex', p.sex, 'status', p.status, 'grade', p.grade,
        'contact', json_build_object(
            'phone', coalesce(p.phone_e164, p.phone), 'phoneExtension', p.phone_extension,
            'email', p.email, 'address', p.address
        ),
        'emergencyContacts', coalesce((
            select json_agg(json_build_object(
                'id', e.id, 'name', e.name, 'relationship', e.relationship,
                'phone', coalesce(e.phone_e164, e.phone), 'phoneExtension', e.phone_extension, 'email', e.email
            ) order by e.position)
            from public.emergency_contact as e where e.clinic_id = p.clinic_id and e.patient_id = p.id
        ), '[]'::json),
        'insurance', coalesce((
            select json_agg(json_build_object(
                'id', i.id, 'payer', i.payer, 'memberNumber', i.member_number, 'groupNumber', i.group_number,
                'validFrom', i.valid_from, 'validTo', i.valid_to
            ) order by i.position)
            from public.insurance as i where i.clinic_id = p.clinic_id and i.patient_id = p.id
        ), '[]'::json),
        'version', p.version
    ) as patient
from public.patient as p
where p.deleted_at is null and p.merged_into is null;
