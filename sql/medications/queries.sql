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
-- scans: the number of all medicines is on every page
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
-- scans: all are counted
-- target: 20 ms
-- returns: one
select count(*) as total from medications

-- name: search_medications(search, ndcs, past, size)
-- One page of the medicines that hold every word, as a prefix at least, or begin with one of the NDCs, best
-- first, and how many there are in all.
-- target: 20 ms
-- example: select 'aspirin 81' as search, array['00777-3105-02'] as ndcs, 0 as past, 20 as size
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

coded as materialized (
    select m.id, 0 as tier, false as combined, m.name_order
    from unnest(:ndcs::text[]) as begins
    inner join medications as m on m.ndc >= begins and m.ndc < begins || '~'
),

matched as materialized (
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
        end as tier,
        position('/' in m.generic_name) > 0 as combined,
        m.name_order
    from asked as a
    inner join medications as m on m.search @@ a.prefixes
    where m.id not in (select c.id from coded as c)
    union all
    select id, tier, combined, name_order
    from coded
),

-- One ingredient before combinations; then by name.
page as (
    select id, tier, combined, name_order
    from matched
    order by tier, combined, name_order, id
    limit :size::bigint offset :past::bigint
)

select
    m.id, m.name, m.generic_name, m.dosage_form, m.strength, m.manufacturer, m.ndc, m.is_controlled,
    0 as active_prescriptions, m.version,
    (select count(*) from matched) as total
from page as p
inner join medications as m on p.id = m.id
order by p.tier, p.combined, p.name_order, p.id

-- name: count_found_medications(search, ndcs)
-- How many medicines a search finds: for a page after the last, which has no row to say it.
-- target: 20 ms
-- example: select 'aspirin' as search, array['00777-3105-02'] as ndcs
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

-- Materialized: with the limit pushed down, PostgreSQL walks the whole formulary by name instead.
beginning as materialized (
    select m.id, m.name, m.generic_name, 1 as tier, m.name_order
    from asked as a
    inner join medications as m on m.name_words >= a.words and m.name_words < a.past_words
),

containing as materialized (
    select
        m.id, m.name, m.generic_name,
        case when m.search @@ a.name_prefixes then 2 else 3 end as tier,
        m.name_order
    from asked as a
    inner join medications as m on m.search @@ a.prefixes
    where
        (select count(*) from beginning) < :size::bigint
        and not starts_with(m.name_words, a.words)
)

select id, name, generic_name
from (select * from beginning union all select * from containing) as found
order by tier, name_order, id
limit :size::bigint

-- name: suggest_similar_medications(typed, size)
-- What a misspelt name may mean: asked only when nothing begins with it. Suggests; never decides. Candidates
-- share trigrams with the first word; of these, what begins nearly as was typed, by edit distance.
-- target: 20 ms
-- example: select 'asprin' as typed, 10 as size
-- returns: many
with asked as materialized (
    select left(words, 60) as words, split_part(words, ' ', 1) as first_word, least(length(words), 60) as letters
    from formulary_words(:typed) as words
    where length(words) >= 4
),

compared as (
    select
        m.id, m.name, m.generic_name, m.name_order, a.letters,
        levenshtein(a.words, left(m.name_words, a.letters)) as from_name,
        levenshtein(a.words, left(m.generic_words, a.letters)) as from_generic
    from asked as a
    inner join medications as m
        on
            split_part(m.name_words, ' ', 1) % a.first_word
            or split_part(m.generic_words, ' ', 1) % a.first_word
)

select id, name, generic_name
from compared
where least(from_name, from_generic) <= letters / 3
order by least(from_name, from_generic), from_name, name_order, id
limit :size::bigint

-- name: add_medication(id, name, generic_name, dosage_form, strength, manufacturer, ndc, is_controlled)
-- Adds a medicine.
-- example: select gen_random_uuid() as id, null as strength, null as manufacturer, null as ndc, name, generic_name, dosage_form, is_controlled from medications limit 1
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
