create table wards (
    clinic_id uuid not null,
    id uuid not null,
    name text not null check (length(name) <= 40),
    floor integer,
    facts jsonb not null default '{}',
    primary key (clinic_id, id),
    unique (clinic_id, name)
);

create table beds (
    clinic_id uuid not null,
    id uuid not null,
    ward_id uuid not null,
    label text not null,
    primary key (clinic_id, id),
    foreign key (clinic_id, ward_id) references wards (clinic_id, id) on delete cascade
);

alter table wards enable row level security;
alter table wards force row level security;
create policy clinic on wards
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);

alter table beds enable row level security;
alter table beds force row level security;
create policy clinic on beds
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);

create function note_ward() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    insert into cito.outbox (tag) select 'ward:' || id from changed;
    return null;
end
$$;

create trigger note_insert after insert on wards
referencing new table as changed for each statement execute function note_ward();

create trigger note_update after update on wards
referencing new table as changed for each statement execute function note_ward();
