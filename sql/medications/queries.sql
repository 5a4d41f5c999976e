-- The formulary. Ranks are tiers, lowest first; docs/decisions/formulary-ranking.md says why not ts_rank.

-- name: find_medications(ids)
-- Medicines by their ids.
-- target: 5 ms
-- returns: many
select
    id, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled,
    0 as active_prescriptions, version
from medications
where id = any(:ids::uuid[])

-- name: list_medications(past, size)
-- One page of the whole formulary by name, and how many there are.
-- target: 20 ms
-- example: select 0 as past, 20 as size
-- returns: many
select
    id, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled,
    0 as active_prescriptions, version,
    (select count(*) from medications) as total
from medications
order by name_order, id
limit :size::bigint offset :past::bigint

-- name: count_medications()
-- How many medicines there are: for a page after the last, which has no row to say it.
-- target: 20 ms
-- returns: one
select count(*) as total from medications

-- name: search_medications(search, ndcs, past, size)
-- One page of the medicines that hold every word, as a prefix at least, or begin with one of the NDCs, best
-- first, and how many there are in all.
-- target: 20 ms
-- example: select 'aspirin 81' as search, array[]::text[] as ndcs, 0 as past, 20 as size
-- returns: many
with asked as materialized (
    select
        words,
        formulary_query(words, ':*') as prefixes,
        formulary_query(words, ':*A') as name_prefixes,
        formulary_query(words, '') as whole,
        formulary_query(words, ':A') as name_whole
    from formulary_words(:search) as words
),

matched as (
    select
        m.id,
        case
            when m.name_words = a.words then 1
            when starts_with(m.name_words, a.words || ' ') then 2
            when starts_with(m.generic_words || ' ', a.words || ' ') then 3
            when starts_with(m.name_words, a.words) then 4
            when m.search @@ a.name_whole then 5
            when starts_with(m.generic_words, a.words) then 6
            when m.search @@ a.whole then 7
            when m.search @@ a.name_prefixes then 8
            else 9
        end as tier
    from asked as a
    inner join medications as m on m.search @@ a.prefixes
    union all
    select m.id, 0 as tier
    from unnest(:ndcs::text[]) as begins
    inner join medications as m on m.ndc >= begins and m.ndc < begins || '~'
),

ranked as (
    select id, min(tier) as tier
    from matched
    group by id
)

select
    m.id, m.name, m.generic_name, m.dosage_form, m.strength, m.manufacturer, m.ndc, m.is_controlled,
    0 as active_prescriptions, m.version,
    count(*) over () as total
from ranked as r
inner join medications as m on r.id = m.id
-- One ingredient before combinations; then by name.
order by r.tier, position('/' in m.generic_name) > 0, m.name_order, m.id
limit :size::bigint offset :past::bigint

-- name: count_found_medications(search, ndcs)
-- How many medicines a search finds: for a page after the last, which has no row to say it.
-- target: 20 ms
-- example: select 'aspirin' as search, array[]::text[] as ndcs
-- returns: one
select count(*) as total
from (
    select m.id
    from (select formulary_query(formulary_words(:search), ':*') as prefixes) as a
    inner join medications as m on m.search @@ a.prefixes
    union
    select m.id
    from unnest(:ndcs::text[]) as begins
    inner join medications as m on m.ndc >= begins and m.ndc < begins || '~'
) as found

-- name: suggest_medications(typed, size)
-- What may be meant by the beginning of a name: names that begin with it, then names with such words, then
-- medicines whose generic name has them.
-- target: 10 ms
-- example: select 'asp' as typed, 10 as size
-- returns: many
with asked as materialized (
    select
        words,
        words || chr(1114111) as past_words,
        formulary_query(words, ':*AB') as prefixes,
        formulary_query(words, ':*A') as name_prefixes
    from formulary_words(:typed) as words
    where words <> ''
),

beginning as (
    select m.id, m.name, m.generic_name, 1 as tier, m.name_order
    from asked as a
    inner join medications as m on m.name_words >= a.words and m.name_words < a.past_words
    order by m.name_order, m.id
    limit :size::bigint
),

containing as (
    select
        m.id, m.name, m.generic_name,
        case when m.search @@ a.name_prefixes then 2 else 3 end as tier,
        m.name_order
    from asked as a
    inner join medications as m on m.search @@ a.prefixes
    where
        (select count(*) from beginning) < :size::bigint
        and not starts_with(m.name_words, a.words)
    order by tier, m.name_order, m.id
    limit :size::bigint
)

select id, name, generic_name
from (select * from beginning union all select * from containing) as found
order by tier, name_order, id
limit :size::bigint

-- name: suggest_similar_medications(typed, size)
-- What a misspelt name may mean: asked only when nothing begins with it. Suggests; never decides.
-- target: 20 ms
-- example: select 'asprin' as typed, 10 as size
-- returns: many
select m.id, m.name, m.generic_name
from (select formulary_words(:typed) as words) as a
inner join medications as m on a.words <% (m.name_words || ' ' || m.generic_words)
where length(a.words) >= 4
order by
    word_similarity(a.words, m.name_words) desc,
    word_similarity(a.words, m.generic_words) desc,
    m.name_order,
    m.id
limit :size::bigint

-- name: add_medication(id, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled)
-- Adds a medicine.
-- target: 10 ms
-- returns: one
insert into medications (id, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled)
values (:id, :name, :generic_name, :dosage_form, :strength, :manufacturer, :ndc, :is_controlled)
returning
    id, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled,
    0 as active_prescriptions, version

-- name: change_medication(id, version, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled)
-- Changes a medicine, unless someone else has changed it since this version.
-- target: 10 ms
-- returns: one
update medications
set
    name = :name,
    generic_name = :generic_name,
    dosage_form = :dosage_form,
    strength = :strength,
    manufacturer = :manufacturer,
    ndc = :ndc,
    is_controlled = :is_controlled
where id = :id and version = :version::integer
returning
    id, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled,
    0 as active_prescriptions, version
