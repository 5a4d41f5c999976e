-- Who looked at what. One row for each access and patient, sealed row to row within a chain (one journal file).
-- The application may add rows and read them; nobody but a retention run of the owner removes any, by the month.
create table cito.audit_event (
    occurred_at timestamptz not null,
    id uuid not null,
    actor text not null,
    role text not null,
    clinic_id uuid,
    action text not null,
    outcome text not null check (outcome in ('success', 'refused', 'failed')),
    resource text not null,
    resource_id text,
    patient_id uuid,
    request_id text not null,
    trace_id text not null,
    purpose text,
    chain uuid not null,
    sequence bigint not null,
    ordinal integer not null,
    seal bytea not null,
    primary key (chain, sequence, ordinal, occurred_at)
) partition by range (occurred_at);

-- Which months retention has removed: a chain that began in one of them may be missing.
create table cito.audit_retention (
    month date primary key,
    removed_at timestamptz not null default clock_timestamp(),
    rows bigint not null
);

revoke all on cito.audit_event, cito.audit_retention from cito_app, cito_search;
grant select, insert on cito.audit_event to cito_app;
grant select on cito.audit_retention to cito_app;

-- An auditor of one clinic sees that clinic's events; one without a clinic sees all.
alter table cito.audit_event enable row level security;
alter table cito.audit_event force row level security;
create policy audit_event_read on cito.audit_event for select using (
    nullif(current_setting('cito.clinic_id', true), '') is null
    or clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid
);
create policy audit_event_write on cito.audit_event for insert with check (true);

-- Makes the partition of a month where it is missing; the application owns nothing and cannot do so itself.
create function cito.audit_ensure_month(moment timestamptz) returns void
language plpgsql security definer set search_path = pg_catalog, cito
as $$
declare
    first date := date_trunc('month', moment at time zone 'UTC')::date;
    partition text := 'audit_event_' || to_char(first, 'YYYYMM');
begin
    if first not between current_date - 400 and current_date + 62 then
        raise exception 'audit: a month this far away is a mistake';
    end if;
    if to_regclass('cito.' || quote_ident(partition)) is null then
        perform pg_advisory_xact_lock(7240573);
        execute format(
            'create table if not exists cito.%I partition of cito.audit_event for values from (%L) to (%L)',
            partition, first::text || ' 00:00+00', (first + interval '1 month')::date::text || ' 00:00+00'
        );
        -- Only the parent is a way in: a partition itself has no policy.
        execute format('revoke all on cito.%I from cito_app, cito_search', partition);
    end if;
end
$$;
