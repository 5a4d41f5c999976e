-- The drug vocabulary. Keys and folded texts are made by cito.plugins.drugs.folding, on both sides alike.

-- name: lookup_drugs(keys, cores, core_places, exact_keys, slip_places, slips)
-- All that is known about up to 100 typed names, in one query: drugs with such a name, drugs made of nothing but
-- ingredients that are named, and, for each core of which none of its exact keys is a name, drugs with a name that is
-- one slip away, or else alike.
-- One row for a drug, with the reasons for which it is there.
-- example: select array_agg(key) as keys, '{paracetomol,ibruprofen}' as cores, '{1,2}' as core_places, '{paracetomol,ibruprofen}' as exact_keys, '{1,1}' as slip_places, '{paracetomol,paracetmol}' as slips from (select key from drug_aliases limit 20) as k
-- target: 100 ms
-- returns: many
with exact as materialized (
    select drug_id, kind, name, folded, key
    from drug_aliases
    where key = any(:keys::text[])
),

named as (
    select array_agg(distinct key) as keys
    from (
        select unnest(:keys::text[]) as key
        union all
        select d.ingredient_keys[1]
        from exact as e
        inner join drugs as d on e.drug_id = d.id
        where e.kind <> 'brand' and cardinality(d.ingredient_keys) = 1
    ) as every
),

open_cores as (
    select c.core, c.place
    from unnest(:cores::text[]) with ordinality as c (core, place)
    where not exists (
        select from unnest(:core_places::bigint[], :exact_keys::text[]) as k (place, key)
        inner join exact as e on k.key = e.key
        where k.place = c.place
    )
),

slipped as materialized (
    select distinct c.core, c.place, a.drug_id, a.kind, a.name, a.folded
    from unnest(:slip_places::bigint[], :slips::text[]) as s (place, slip)
    inner join open_cores as c on s.place = c.place
    inner join drug_aliases as a on a.slips @> array[s.slip]
),

reasons as (
    select drug_id, jsonb_build_object('how', 'exact', 'kind', kind, 'name', name, 'folded', folded) as reason
    from exact
    union all
    select d.id, jsonb_build_object('how', 'composed') as reason
    from named as n
    inner join drugs as d on d.ingredient_keys && n.keys and d.ingredient_keys <@ n.keys
    union all
    select
        a.drug_id,
        jsonb_build_object(
            'how', 'alike', 'kind', a.kind, 'name', a.name, 'folded', a.folded, 'core', a.core, 'place', a.place
        ) as reason
    from (
        select distinct core, drug_id, kind, name, folded, 0 as place
        from slipped
        union all
        select core, drug_id, kind, name, folded, place
        from drug_names_alike(
            array(select distinct core from open_cores where place not in (select place from slipped))
        )
    ) as a
),

found as (
    select drug_id, jsonb_agg(reason) as reasons
    from reasons
    group by drug_id
)

select
    c.id, c.generic_name, c.brand_names, c.keywords, c.ingredients, c.classes, c.schedules,
    c.prescription_only, c.is_active, c.version,
    f.reasons
from found as f
inner join drug_cards as c on f.drug_id = c.id

-- name: find_drugs(ids)
-- Drugs by their ids.
-- example: select array_agg(id) as ids from (select id from drugs limit 20) as d
-- target: 5 ms
-- returns: many
select
    id, generic_name, brand_names, keywords, ingredients, classes, schedules,
    prescription_only, is_active, version
from drug_cards
where id = any(:ids::uuid[])

-- name: every_drug()
-- The whole vocabulary, for the memory of a process.
-- scans: all of it is wanted
-- target: 500 ms
-- returns: many
select
    id, generic_name, brand_names, keywords, ingredients, classes, schedules,
    prescription_only, is_active, version
from drug_cards
order by id

-- name: list_drugs(past, size)
-- One page of all active drugs by generic name, and how many there are.
-- scans: the number of all active drugs is on every page
-- example: select 0 as past, 20 as size
-- target: 20 ms
-- returns: many
with page as (
    select id, generic_key
    from drugs
    where is_active
    order by generic_key
    limit :size::bigint offset :past::bigint
)

select
    c.id, c.generic_name, c.brand_names, c.keywords, c.ingredients, c.classes, c.schedules,
    c.prescription_only, c.is_active, c.version,
    (select count(*) from drugs where is_active) as total
from page as p
inner join drug_cards as c on p.id = c.id
order by p.generic_key

-- name: list_drugs_of_class(drug_class, schedules, past, size)
-- One page of the active drugs of a class, and of schedules where any are named, by generic name.
-- example: select 'ssri' as drug_class, '{}' as schedules, 0 as past, 20 as size
-- target: 20 ms
-- returns: many
with chosen as (
    select d.id, d.generic_key
    from drugs as d
    where
        d.is_active
        and d.classes @> array[:drug_class::text]
        and (
            cardinality(:schedules::text[]) = 0
            or exists (
                select from drug_schedules as s where s.drug_id = d.id and s.schedule = any(:schedules::text[])
            )
        )
)

select
    c.id, c.generic_name, c.brand_names, c.keywords, c.ingredients, c.classes, c.schedules,
    c.prescription_only, c.is_active, c.version,
    (select count(*) from chosen) as total
from (
    select id, generic_key from chosen order by generic_key limit :size::bigint offset :past::bigint
) as p
inner join drug_cards as c on p.id = c.id
order by p.generic_key

-- name: list_drugs_of_schedule(schedule, past, size)
-- One page of the active drugs of a schedule, of any jurisdiction, by generic name.
-- example: select 'II' as schedule, 0 as past, 20 as size
-- target: 20 ms
-- returns: many
with chosen as (
    select d.id, d.generic_key
    from drugs as d
    where d.is_active and d.id in (select s.drug_id from drug_schedules as s where s.schedule = :schedule)
)

select
    c.id, c.generic_name, c.brand_names, c.keywords, c.ingredients, c.classes, c.schedules,
    c.prescription_only, c.is_active, c.version,
    (select count(*) from chosen) as total
from (
    select id, generic_key from chosen order by generic_key limit :size::bigint offset :past::bigint
) as p
inner join drug_cards as c on p.id = c.id
order by p.generic_key

-- name: search_drugs(key, folded, pattern, long, classes, schedules, past, size)
-- One page of the active drugs with a name that is, begins with, contains or is like a text, best first.
-- example: select 'amoxi' as key, 'amoxi' as folded, '%amoxi%' as pattern, true as long, '{}' as classes, '{}' as schedules, 0 as past, 20 as size
-- target: 20 ms
-- returns: many
with matched as (
    select drug_id, case when key = :key then 0 else 1 end as tier, 0 as place
    from drug_aliases
    where key ~>=~ :key and key ~<~ (:key || chr(1114111))
    union all
    select drug_id, 2 as tier, 0 as place
    from drug_aliases
    where :long::boolean and folded like :pattern
    union all
    select drug_id, 3 as tier, place
    from drug_names_alike(case when :long::boolean then array[:folded] else '{}' end) as a
),

ranked as (
    select distinct on (drug_id) drug_id, tier, place
    from matched
    order by drug_id, tier, place
),

chosen as (
    select d.id, r.tier, r.place, d.generic_key
    from ranked as r
    inner join drugs as d on r.drug_id = d.id
    where
        d.is_active
        and d.classes @> :classes::text[]
        and (
            cardinality(:schedules::text[]) = 0
            or exists (
                select from drug_schedules as s where s.drug_id = d.id and s.schedule = any(:schedules::text[])
            )
        )
)

select
    c.id, c.generic_name, c.brand_names, c.keywords, c.ingredients, c.classes, c.schedules,
    c.prescription_only, c.is_active, c.version,
    (select count(*) from chosen) as total
from (
    select id, tier, place, generic_key
    from chosen
    order by tier, place, generic_key
    limit :size::bigint offset :past::bigint
) as p
inner join drug_cards as c on p.id = c.id
order by p.tier, p.place, p.generic_key

-- name: add_drug(id, generic_name, generic_key, ingredients, ingredient_keys, classes, prescription_only, is_active)
-- Adds a drug without its names.
-- example: select gen_random_uuid() as id, 'An Example' as generic_name, 'anexample' as generic_key, '{}'::text[] as ingredients, '{}'::text[] as ingredient_keys, '{}'::text[] as classes, true as prescription_only, true as is_active
-- target: 10 ms
-- returns: rows
insert into drugs (
    id, generic_name, generic_key, ingredients, ingredient_keys, classes, prescription_only, is_active
)
values (
    :id, :generic_name, :generic_key, :ingredients::text[], :ingredient_keys::text[], :classes::text[],
    :prescription_only, :is_active
)

-- name: change_drug(id, version, generic_name, generic_key, ingredients, ingredient_keys, classes, prescription_only, is_active)
-- Changes a drug, unless someone else has changed it since this version.
-- target: 10 ms
-- returns: rows
update drugs
set
    generic_name = :generic_name,
    generic_key = :generic_key,
    ingredients = :ingredients::text[],
    ingredient_keys = :ingredient_keys::text[],
    classes = :classes::text[],
    prescription_only = :prescription_only,
    is_active = :is_active,
    version = version + 1,
    updated_at = now()
where id = :id and version = :version::integer

-- name: remove_names(drug_id)
-- Takes all names from a drug; new ones follow in the same transaction.
-- target: 10 ms
-- returns: rows
delete from drug_aliases where drug_id = :drug_id

-- name: add_names(drug_id, kinds, names, folded, keys)
-- Gives a drug its names, in their order.
-- example: select id as drug_id, array['keyword'] as kinds, array['An Example'] as names, array['an example'] as folded, array['anexample'] as keys from drugs limit 1
-- target: 10 ms
-- returns: rows
insert into drug_aliases (drug_id, kind, name, folded, key, place)
select :drug_id, a.kind, a.name, a.folded, a.key, a.place
from unnest(:kinds::text[], :names::text[], :folded::text[], :keys::text[])
    with ordinality as a (kind, name, folded, key, place)

-- name: remove_schedules(drug_id)
-- Takes all schedules from a drug; new ones follow in the same transaction.
-- target: 10 ms
-- returns: rows
delete from drug_schedules where drug_id = :drug_id

-- name: add_schedules(drug_id, jurisdictions, schedules)
-- Says where a drug is controlled, and how.
-- example: select id as drug_id, array['ZZ'] as jurisdictions, array['II'] as schedules from drugs limit 1
-- target: 10 ms
-- returns: rows
insert into drug_schedules (drug_id, jurisdiction, schedule)
select :drug_id, s.jurisdiction, s.schedule
from unnest(:jurisdictions::text[], :schedules::text[]) as s (jurisdiction, schedule)

-- name: add_prescription_request(clinic_id, id, patient_id, route, rules_version, requested_by, requested_at, answer)
-- Adds a triaged request.
-- example: select clinic_id, gen_random_uuid() as id, 'auto' as route, '1' as rules_version, 'someone' as requested_by, now() as requested_at, '{}' as answer from prescription_requests limit 1
-- target: 10 ms
-- returns: rows
insert into prescription_requests (
    clinic_id, id, patient_id, route, rules_version, requested_by, requested_at, answer
)
values (:clinic_id, :id, :patient_id, :route, :rules_version, :requested_by, :requested_at, :answer)

-- name: find_prescription_request(clinic_id, id)
-- A request as it was answered, and the decisions against it, the last one last.
-- target: 5 ms
-- returns: one
select
    r.answer,
    (
        select coalesce(jsonb_agg(jsonb_build_object(
            'id', o.id, 'route', o.route, 'reason', o.reason, 'overriddenBy', o.overridden_by,
            'role', o.role, 'overriddenAt', o.overridden_at
        ) order by o.overridden_at, o.id), '[]'::jsonb)
        from prescription_overrides as o
        where o.clinic_id = r.clinic_id and o.request_id = r.id
    ) as overrides
from prescription_requests as r
where r.clinic_id = :clinic_id and r.id = :id

-- name: add_prescription_override(clinic_id, id, request_id, route, reason, overridden_by, role, overridden_at)
-- Adds a decision against the rules to a request.
-- example: select clinic_id, gen_random_uuid() as id, id as request_id, 'doctor' as route, 'an example of a reason' as reason, 'someone' as overridden_by, 'doctor' as role, now() as overridden_at from prescription_requests limit 1
-- target: 10 ms
-- returns: rows
insert into prescription_overrides (
    clinic_id, id, request_id, route, reason, overridden_by, role, overridden_at
)
values (:clinic_id, :id, :request_id, :route, :reason, :overridden_by, :role, :overridden_at)
