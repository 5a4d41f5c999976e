-- Requests for medicines with their triage, and decisions against it. Both are records: added, never changed.

create table public.prescription_requests (
    clinic_id uuid not null,
    id uuid not null,
    -- Patients are another plugin's: this one works alone, so there is no reference.
    patient_id uuid,
    route text not null check (route in ('auto', 'pharmacist', 'clarify', 'doctor', 'blocked')),
    rules_version text not null,
    requested_by text not null,
    requested_at timestamptz not null,
    answer jsonb not null,
    primary key (clinic_id, id)
);

create table public.prescription_overrides (
    clinic_id uuid not null,
    id uuid not null,
    request_id uuid not null,
    route text not null check (route in ('auto', 'pharmacist', 'clarify', 'doctor', 'blocked')),
    reason text not null check (length(reason) between 10 and 1000),
    overridden_by text not null,
    role text not null,
    overridden_at timestamptz not null,
    primary key (clinic_id, id),
    -- First the request: all overrides of one are neighbours.
    unique (clinic_id, request_id, overridden_at, id),
    foreign key (clinic_id, request_id) references public.prescription_requests (clinic_id, id)
);

alter table public.prescription_requests enable row level security;
alter table public.prescription_requests force row level security;
alter table public.prescription_overrides enable row level security;
alter table public.prescription_overrides force row level security;

create policy own_clinic on public.prescription_requests to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);

create policy own_clinic on public.prescription_overrides to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);

grant select, insert on public.prescription_requests, public.prescription_overrides to cito_app;
revoke update, delete on public.prescription_requests, public.prescription_overrides from cito_app;
