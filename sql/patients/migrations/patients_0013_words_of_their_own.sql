-- Several words: an index intersection of the two longest, then every word of the candidates is compared. Terms are
-- hashed with the clinic as seed: its rows need no index by clinic, which would read them all.
-- "Maria Mar" is Maria Martinez before Maria Smith: within a tier, a searched word goes to a word of the name that no
-- other one is nearer to, and counts for nothing where there is none.
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
        select
            row_number() over ()::integer as c, n.patient_id, n.sort_key, n.words, n.places, n.own_words,
            case when whole = any(n.terms) then 2 when turned_whole = any(n.terms) then 3 end as tier
        from public.patient_name as n
        where (n.clinic_id = clinic) is true and (n.status = wanted or wanted = 'any')
            and (n.terms && either or n.terms && some_terms and n.terms && other_terms)
    ),
    name as (
        select n.c, n.own_words, unnest(n.words) as word, unnest(n.places) as place,
            generate_series(1, cardinality(n.words)) as n
        from candidate as n
        where n.tier is null
    ),
    match as (
        select name.c, m.i, m.distance + case when name.n > name.own_words then 0.05 else 0 end as distance, name.place
        from name join unnest(numbers, some_words, distances) as m (i, word, distance) on m.word = name.word
        union all
        select name.c, s.i, 5.0 + 0.9 * (1 - length(s.word)::real / length(name.word)), name.place
        from unnest(searched) with ordinality as s (word, i) join name on name.word ^@ s.word
        where length(s.word) < 3 and name.word <> s.word and name.n <= name.own_words
    ),
    claimed as (
        select match.*, match.distance = min(match.distance) over (partition by match.c, match.place) as own from match
    ),
    best as (
        select distinct on (k.c, k.i) k.* from claimed as k
        order by k.c, k.i, floor(k.distance), k.own desc, k.distance, k.place
    ),
    placed as (
        select best.*, lag(best.place) over (partition by best.c order by best.i) > best.place as turned from best
    ),
    ranked as (
        select
            placed.c, floor(max(placed.distance))::smallint as tier, coalesce(bool_or(placed.turned), false) as turned,
            (coalesce(sum(1 - (placed.distance - floor(placed.distance))) filter (where placed.own), 0)
                / cardinality(searched))::real as score
        from placed
        group by placed.c
        having count(*) = cardinality(searched)
        union all
        select n.c, n.tier::smallint, n.tier = 3, 1 from candidate as n where n.tier is not null
    )
    select n.patient_id, r.tier, r.turned, r.score, n.sort_key, least(count(*) over (), cap)::bigint
    from ranked as r join candidate as n using (c)
    order by r.tier, r.turned, r.score desc, n.sort_key, n.patient_id
    limit most;
end
$$;
