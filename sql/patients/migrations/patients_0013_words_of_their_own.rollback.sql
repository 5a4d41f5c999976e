-- The function as it was before.

-- Several words: an index intersection of the two longest, then every word of the candidates is compared. Terms are
-- hashed with the clinic as seed: its rows need no index by clinic, which would read them all.
create or replace function public.find_patients_by_words(
    clinic uuid, searched text [], wanted text, cap integer, most integer
) returns setof public.patient_place
language plpgsql stable
set plan_cache_mode = force_generic_plan
set enable_nestloop = off -- how long the arrays are is not known when this is planned
as $$
declare
    seed constant bigint := public.patient_clinic_seed(clinic);
    whole constant bigint := hashtextextended('=' || array_to_string(searched, ''), seed);
    turned_whole constant bigint := hashtextextended('~' || array_to_string(searched, ''), seed);
    either constant bigint[] := array[whole, turned_whole];
    longest constant integer[] := array(
        select i from unnest(searched) with ordinality as s (word, i) order by length(word) desc, i limit 2
    );
    numbers integer[];
    some_words text[];
    distances real[];
    some_terms bigint[];
    other_terms bigint[];
begin
    select
        array_agg(m.i), array_agg(m.word), array_agg(m.distance),
        array_agg(distinct hashtextextended(m.term, seed)) filter (where m.i = longest[1]),
        array_agg(distinct hashtextextended(m.term, seed)) filter (where m.i = longest[2])
    into numbers, some_words, distances, some_terms, other_terms
    from (
        select
            s.i, w.word, w.distance,
            -- An index intersection slows down with each term, and with each candidate that it lets through: words
            -- that begin alike become one term, the sooner the more words there are. Measured at 250,000 patients.
            case
                when length(s.word) < 3 then '^' || s.word
                when length(s.word) = 3 and w.word ^@ left(s.word, 2) then '^' || left(s.word, 2)
                when length(s.word) = 3 and strpos(w.word, s.word) > 0 then '*' || s.word
                when count(*) over (partition by s.i, left(w.word, 3))
                    > greatest(3, 4000 / count(*) over (partition by s.i))
                    then '^' || left(w.word, 3)
                else w.word
            end as term
        from unnest(searched) with ordinality as s (word, i)
        cross join lateral (
            select s.word, 4.0::real as distance
            union all
            select x.word, x.distance from public.similar_name_words(clinic, s.word, 4, 8) as x
            where length(s.word) >= 3
        ) as w
    ) as m;
    return query
    with candidate as materialized (
        select n.patient_id, n.sort_key, n.words, n.places, n.own_words,
            whole = any(n.terms) as is_whole, turned_whole = any(n.terms) as is_turned
        from public.patient_name as n
        where (n.clinic_id = clinic) is true and (n.status = wanted or wanted = 'any')
            and (n.terms && either or n.terms && some_terms and n.terms && other_terms)
    ),
    name as (
        select c.patient_id, c.own_words, c.sort_key,
            unnest(c.words) as word, unnest(c.places) as place, generate_series(1, cardinality(c.words)) as n
        from candidate as c
        where not (c.is_whole or c.is_turned)
    ),
    match as (
        select name.patient_id, name.sort_key, m.i,
            m.distance + case when name.n > name.own_words then 0.05 else 0 end as distance, name.place
        from name join unnest(numbers, some_words, distances) as m (i, word, distance) on m.word = name.word
        union all
        select name.patient_id, name.sort_key, s.i,
            5.0 + 0.9 * (1 - length(s.word)::real / length(name.word)), name.place
        from unnest(searched) with ordinality as s (word, i) join name on name.word ^@ s.word
        where length(s.word) < 3 and name.word <> s.word and name.n <= name.own_words
    ),
    best as (
        select distinct on (match.patient_id, match.i) match.*
        from match
        order by match.patient_id, match.i, match.distance, match.place
    ),
    placed as (
        select best.*, lag(best.place) over (partition by best.patient_id order by best.i) > best.place as turned
        from best
    ),
    ranked as (
        select
            placed.patient_id, floor(max(placed.distance))::smallint as tier,
            coalesce(bool_or(placed.turned), false) as turned,
            (sum(1 - (placed.distance - floor(placed.distance))) / cardinality(searched))::real as score,
            min(placed.sort_key) as sort_key
        from placed
        group by placed.patient_id
        having count(*) = cardinality(searched)
        union all
        select c.patient_id, (case when c.is_whole then 2 else 3 end)::smallint, not c.is_whole, 1, c.sort_key
        from candidate as c
        where c.is_whole or c.is_turned
    )
    select r.*, least(count(*) over (), cap)::bigint from ranked as r
    order by r.tier, r.turned, r.score desc, r.sort_key, r.patient_id
    limit most;
end
$$;
