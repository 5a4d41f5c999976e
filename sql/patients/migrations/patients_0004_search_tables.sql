-- What name searches read: kept up by triggers, so that a write by psql or COPY is found as well. Only functions
-- of cito_search touch these tables; the application has no right on them. Merged and deleted patients have no rows.

-- One row a patient: its words with their places, and `terms` for intersections (hashes with the clinic as seed:
-- each word, its first one, two and three letters, the whole name as one word in both orders). No foreign key: the
-- triggers alone write here, and a cascade would take the row before they can read which words it had.
create table public.patient_name (
    clinic_id uuid not null,
    patient_id uuid not null,
    status text not null,
    date_of_birth date,
    sort_key text collate "C" not null,
    words text [] collate "C" not null,
    places smallint [] not null,
    own_words smallint not null,
    terms bigint [] not null,
    primary key (clinic_id, patient_id)
);

comment on column public.patient_name.own_words is
'So many words come first that stand in the name; the rest are neighbours written as one';

-- One row a word: a search for one word reads it in its final order and stops at the cap.
create table public.patient_name_word (
    clinic_id uuid not null,
    word text collate "C" not null,
    joined boolean not null,
    sort_key text collate "C" not null,
    patient_id uuid not null,
    status text not null,
    primary key (clinic_id, word, joined, sort_key, patient_id) include (status)
);

-- The different words of a clinic: few, however many the patients. Typing errors are looked up here. A word stays
-- when its last bearer has gone: it names nobody, and counting bearers would make writers wait for each other.
create table public.name_vocabulary (
    clinic_id uuid not null,
    word text collate "C" not null,
    sound text not null,
    deletions bigint [] not null,
    primary key (clinic_id, word)
);

-- Names that stand for each other: Bob for Robert. Public knowledge, the same for every clinic.
create table public.nickname (
    name text collate "C" not null,
    other text collate "C" not null,
    primary key (name, other)
);

-- How many patients a clinic has, by status: counted as they come and go, never by counting them all.
create table public.patient_count (
    clinic_id uuid not null,
    status text not null,
    patients bigint not null,
    primary key (clinic_id, status)
);

alter table public.patient_count enable row level security;
alter table public.patient_count force row level security;
create policy own_clinic on public.patient_count to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);

alter table public.patient_name enable row level security;
alter table public.patient_name force row level security;
alter table public.patient_name_word enable row level security;
alter table public.patient_name_word force row level security;
alter table public.name_vocabulary enable row level security;
alter table public.name_vocabulary force row level security;

-- A second lock on what is closed by rights already.
create policy own_clinic on public.patient_name to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);
create policy own_clinic on public.patient_name_word to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);
create policy own_clinic on public.name_vocabulary to cito_app
using (clinic_id = nullif(current_setting('cito.clinic_id', true), '')::uuid);

-- The application may read the counts and the nicknames; all else here belongs to the search functions.
revoke all on public.patient_name, public.patient_name_word, public.name_vocabulary from cito_app;
revoke insert, update, delete on public.patient_count, public.nickname from cito_app;
grant insert, update, delete
on public.patient_name, public.patient_name_word, public.name_vocabulary, public.patient_count to cito_search;

-- What intersections compare, see patient_name.
create function public.patient_name_terms(words text [], own integer, full_name text, turned text, seed bigint)
returns bigint []
language sql immutable strict parallel safe
begin atomic
    select array_agg(distinct hashtextextended(term, seed))
    from (
        select w as term from unnest(words) as w
        union select '^' || left(w, 1) from unnest(words[:own]) as w
        union select '^' || left(w, 2) from unnest(words[:own]) as w where length(w) >= 2
        union select '^' || left(w, 3) from unnest(words) as w where length(w) >= 3
        union values ('=' || full_name), ('~' || turned)
    ) as t;
end;

create function public.patient_clinic_seed(clinic_id uuid) returns bigint
language sql immutable strict parallel safe
return hashtextextended(clinic_id::text, 0);

create type public.patient_name_source as (
    clinic_id uuid, patient_id uuid, given_name text, middle_name text, family_name text, date_of_birth date,
    status text
);

create function public.store_patient_names(found public.patient_name_source []) returns void
language sql
set search_path = pg_catalog, public
begin atomic
    with split as materialized (
        select
            f.clinic_id, f.patient_id, f.status, f.date_of_birth,
            left(public.name_fold(f.given_name), 100) as given, left(public.name_fold(f.middle_name), 100) as middle,
            left(public.name_fold(f.family_name), 100) as family,
            public.patient_clinic_seed(f.clinic_id) as seed,
            -- A name of punctuation alone has no words; the patient is found by numbers, dates and in the list.
            coalesce(w.words, '{}') as words, coalesce(w.places, '{}') as places, w.own
        from unnest(found) as f
        cross join lateral (
            select
                array_agg(n.word order by n.joined, n.place, n.word) as words,
                array_agg(n.place order by n.joined, n.place, n.word) as places,
                (count(*) filter (where not n.joined))::smallint as own
            from public.name_words(f.given_name, f.middle_name, f.family_name) as n
        ) as w
    ),
    stored as (
        insert into public.patient_name (
            clinic_id, patient_id, status, date_of_birth, sort_key, words, places, own_words, terms
        )
        select
            s.clinic_id, s.patient_id, s.status, s.date_of_birth,
            s.family || chr(1) || s.given || chr(1) || coalesce(s.date_of_birth::text, ''),
            s.words, s.places, s.own,
            public.patient_name_terms(
                s.words, s.own, replace(s.given || s.family, ' ', ''), replace(s.family || s.given, ' ', ''), s.seed
            ) || case
                when s.middle = '' then '{}'
                else array[hashtextextended('=' || replace(s.given || s.middle || s.family, ' ', ''), s.seed)]
            end
        from split as s
        returning clinic_id, patient_id, status, sort_key, words, own_words
    ),
    counted as (
        insert into public.patient_count as c (clinic_id, status, patients)
        select s.clinic_id, s.status, count(*) from stored as s group by s.clinic_id, s.status
        order by s.clinic_id, s.status
        on conflict (clinic_id, status) do update set patients = c.patients + excluded.patients
    ),
    new_words as (
        insert into public.name_vocabulary (clinic_id, word, sound, deletions)
        select
            d.clinic_id, d.word, public.name_sound(d.word),
            public.name_deletions(
                d.word, case when length(d.word) >= 6 then 2 else 1 end, public.patient_clinic_seed(d.clinic_id)
            )
        from (select distinct s.clinic_id, w.word from split as s, unnest(s.words) as w (word)) as d
        where not exists (
            select from public.name_vocabulary as v where v.clinic_id = d.clinic_id and v.word = d.word
        )
        order by d.clinic_id, d.word -- one order for all writers: they wait, and never for each other
        on conflict do nothing
    )
    insert into public.patient_name_word (clinic_id, word, joined, sort_key, patient_id, status)
    select s.clinic_id, w.word, w.n > s.own_words, s.sort_key, s.patient_id, s.status
    from stored as s, unnest(s.words) with ordinality as w (word, n)
    on conflict do nothing;
end;

create function public.forget_patient_names(clinics uuid [], patients uuid []) returns void
language sql
set search_path = pg_catalog, public
begin atomic
    with gone as (
        delete from public.patient_name as n
        using unnest(clinics, patients) as g (clinic_id, patient_id)
        where n.clinic_id = g.clinic_id and n.patient_id = g.patient_id
        returning n.clinic_id, n.patient_id, n.status, n.sort_key, n.words, n.own_words
    ),
    counted as (
        insert into public.patient_count as c (clinic_id, status, patients)
        select g.clinic_id, g.status, -count(*) from gone as g group by g.clinic_id, g.status
        order by g.clinic_id, g.status
        on conflict (clinic_id, status) do update set patients = c.patients + excluded.patients
    )
    delete from public.patient_name_word as p
    using gone as g, unnest(g.words) with ordinality as w (word, n)
    where
        p.clinic_id = g.clinic_id and p.word = w.word and p.joined = (w.n > g.own_words)
        and p.sort_key = g.sort_key and p.patient_id = g.patient_id;
end;

create function public.patient_names_inserted() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public
as $$
begin
    perform public.store_patient_names(array(
        select row(clinic_id, id, given_name, middle_name, family_name, date_of_birth, status)
            ::public.patient_name_source
        from new_rows where deleted_at is null and merged_into is null
    ));
    return null;
end
$$;

-- Only patients whose searched columns changed are written again; a new address touches nothing here.
create function public.patient_names_updated() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public
as $$
declare
    clinics uuid[];
    patients uuid[];
begin
    select array_agg(n.clinic_id), array_agg(n.id) into clinics, patients
    from new_rows as n join old_rows as o using (clinic_id, id)
    where (n.given_name, n.middle_name, n.family_name, n.date_of_birth, n.status, n.deleted_at, n.merged_into)
        is distinct from
        (o.given_name, o.middle_name, o.family_name, o.date_of_birth, o.status, o.deleted_at, o.merged_into);
    if clinics is null then
        return null;
    end if;
    -- One order for all writers: of two that change a status in opposite ways, one waits and none is refused.
    perform from public.patient_count as k where k.clinic_id = any(clinics) order by k.clinic_id, k.status for update;
    perform public.forget_patient_names(clinics, patients);
    perform public.store_patient_names(array(
        select row(n.clinic_id, n.id, n.given_name, n.middle_name, n.family_name, n.date_of_birth, n.status)
            ::public.patient_name_source
        from new_rows as n join unnest(clinics, patients) as c (clinic_id, id) using (clinic_id, id)
        where n.deleted_at is null and n.merged_into is null
    ));
    return null;
end
$$;

create function public.patient_names_deleted() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public
as $$
begin
    perform public.forget_patient_names(array_agg(clinic_id), array_agg(id)) from old_rows;
    return null;
end
$$;

create function public.patient_names_truncated() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public
as $$
begin
    delete from public.patient_name;
    delete from public.patient_name_word;
    delete from public.patient_count;
    return null;
end
$$;

create trigger patient_names_insert after insert on public.patient
referencing new table as new_rows for each statement execute function public.patient_names_inserted();
create trigger patient_names_update after update on public.patient
referencing old table as old_rows new table as new_rows
for each statement execute function public.patient_names_updated();
create trigger patient_names_delete after delete on public.patient
referencing old table as old_rows for each statement execute function public.patient_names_deleted();
create trigger patient_names_truncate after truncate on public.patient
for each statement execute function public.patient_names_truncated();

alter function public.patient_names_inserted() owner to cito_search;
alter function public.patient_names_updated() owner to cito_search;
alter function public.patient_names_deleted() owner to cito_search;
alter function public.patient_names_truncated() owner to cito_search;
