create table dental_chairs (
    clinic_id uuid not null,
    id uuid not null,
    floor integer not null,
    name text not null check (length(name) between 1 and 60),
    primary key (clinic_id, id)
);

-- The application sees and writes the rows of the caller's clinic, and no others.
alter table dental_chairs enable row level security;
alter table dental_chairs force row level security;
create policy own_clinic on dental_chairs to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);
create policy owner_all on dental_chairs to cito_owner using (true) with check (true);
