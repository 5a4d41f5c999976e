-- Several words: an index intersection of the two longest, then every word of the candidates is compared. Terms are
-- hashed with the clinic as seed: its rows need no index by clinic, which would read them all.
create function public.find_patients_by_words(
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

-- A name, as the folded words that were typed: the first `most` of all tiers in their order.
create function public.find_patients_by_name(
    clinic uuid, searched text [], wanted text, cap integer, most integer
) returns setof public.patient_place
language plpgsql stable
set plan_cache_mode = force_generic_plan
as $$
declare
    ways text[] := '{}'; -- the same with two neighbours written as one, where that is a word: "o brien" for O'Brien
    shorter text[];
    hits public.patient_hit[];
begin
    if cardinality(searched) = 1 then
        return query select * from public.find_patients_by_word(clinic, searched[1], wanted, cap, most);
        return;
    end if;
    for k in 1..cardinality(searched) - 1 loop
        shorter := searched[:k - 1] || left(searched[k] || searched[k + 1], 60) || searched[k + 2:];
        if exists (select from public.name_vocabulary as v where v.clinic_id = clinic and v.word = shorter[k]) then
            ways := ways || array_to_string(shorter, ' ');
        end if;
    end loop;
    if cardinality(ways) = 0 then
        return query select * from public.find_patients_by_words(clinic, searched, wanted, cap, most);
        if found then
            return;
        end if;
    else
        hits := array(
            select (h.patient_id, h.tier, h.turned, h.score, h.sort_key)::public.patient_hit
            from public.find_patients_by_words(clinic, searched, wanted, cap, cap) as h
        );
        for k in 1..cardinality(ways) loop
            shorter := string_to_array(ways[k], ' ');
            hits := hits || case
                when cardinality(shorter) = 1
                    then public.find_nearest_bearers(clinic, shorter, array[4]::real[], wanted, cap)
                else array(
                    select (h.patient_id, h.tier, h.turned, h.score, h.sort_key)::public.patient_hit
                    from public.find_patients_by_words(clinic, shorter, wanted, cap, cap) as h
                )
            end;
        end loop;
    end if;
    -- Nobody matches every word: then those who match one, the most alike name first.
    if coalesce(cardinality(hits), 0) = 0 then
        hits := array(
            select (
                f.patient_id, 7, true,
                0.8 * public.similarity(array_to_string(searched, ' '), replace(f.sort_key, chr(1), ' ')),
                f.sort_key
            )::public.patient_hit
            from unnest(searched) as s (word)
            cross join lateral public.find_patients_by_word(clinic, s.word, wanted, cap / 5, cap / 5) as f
            where length(s.word) >= 3 and f.tier <= 7
        );
    end if;
    return query
    select b.patient_id, b.tier, b.turned, b.score, b.sort_key, least(count(*) over (), cap) from (
        select distinct on (h.patient_id) h.* from unnest(hits) as h
        order by h.patient_id, h.tier, h.turned, h.score desc
    ) as b
    order by b.tier, b.turned, b.score desc, b.sort_key, b.patient_id
    limit most;
end
$$;

-- The whole search: at most `cap` patients of one clinic in their final order. The clinic must be the transaction's.
-- `matched` says which fields matched. Name and birth date together: when nobody holds both, whoever holds one and
-- comes near in the other, as tier 7 and without the field that differs.
create or replace function public.find_patients(
    clinic uuid, searched text [], asked public.patient_criteria, parts integer, wanted text, cap integer
) returns table (id uuid, tier smallint, score real, matched text [], place bigint)
language plpgsql stable security definer rows 1000
set search_path = pg_catalog, public
set plan_cache_mode = force_generic_plan
as $$
declare
    names constant boolean := cardinality(searched) > 0;
    facts public.patient_fact[];
    held uuid[];
    hits public.patient_hit[];
begin
    if clinic is distinct from nullif(current_setting('cito.clinic_id', true), '')::uuid then
        return;
    end if;
    if parts = 0 and names then
        return query
        select h.patient_id, h.tier, h.score, array['name'], row_number() over ()
        from public.find_patients_by_name(clinic, searched, wanted, cap, cap) as h;
        return;
    end if;
    if parts = 0 then
        return query
        select n.patient_id, 0::smallint, 1::real, '{}'::text[], row_number() over ()
        from (
            select l.patient_id
            from unnest(case when wanted = 'any' then array['active', 'inactive', 'deceased'] else array[wanted] end)
                as s (status)
            cross join lateral (
                select i.sort_key, i.patient_id from public.patient_name as i
                where i.clinic_id = clinic and i.status = s.status
                order by i.sort_key, i.patient_id
                limit cap
            ) as l
            order by l.sort_key, l.patient_id
            limit cap
        ) as n;
        return;
    end if;
    facts := array(select f from public.find_patients_by_facts(clinic, asked, cap * 5) as f);
    held := array(
        select f.patient_id from unnest(facts) as f group by f.patient_id having count(distinct f.part) = parts
    );
    if names then
        hits := array(
            select h from public.rank_patients_by_name(clinic, held, searched, wanted, cardinality(searched)) as h
        );
        if cardinality(hits) = 0 and (asked).born is not null and parts = 1 then
            return query
            select n.patient_id, 7::smallint, n.score::real, n.matched, row_number() over (
                order by n.score desc, n.sort_key, n.patient_id
            ) as place
            from (
                select distinct on (u.patient_id) u.patient_id, u.score, u.matched, u.sort_key
                from (
                    select
                        h.patient_id, 0.5 + 0.4 * h.score as score, array['dateOfBirth', 'name'] as matched,
                        h.sort_key
                    from public.rank_patients_by_name(clinic, held, searched, wanted, 1) as h
                    union all
                    -- A birth date with one digit wrong, or day and month swapped, is a slip of the pen.
                    select
                        h.patient_id,
                        case
                            when public.levenshtein(split_part(h.sort_key, chr(1), 3), (asked).born::text) = 1
                                or split_part(h.sort_key, chr(1), 3) = to_char((asked).born, 'YYYY-DD-MM')
                                then 0.6 else 0.4
                        end * h.score * (10 - h.tier) / 8 + 0.1,
                        array['name'], h.sort_key
                    from public.find_patients_by_name(clinic, searched, wanted, 20, 20) as h
                    union all
                    select n.patient_id, 0.1, array['dateOfBirth'], n.sort_key
                    from public.patient_name as n
                    where n.clinic_id = clinic and n.patient_id = any(held)
                        and (n.status = wanted or wanted = 'any')
                ) as u
                order by u.patient_id, u.score desc
            ) as n
            order by place
            limit cap;
            return;
        end if;
    else
        hits := array(
            select (n.patient_id, 0, false, 1, n.sort_key)::public.patient_hit
            from public.patient_name as n
            where n.clinic_id = clinic and n.patient_id = any(held) and (n.status = wanted or wanted = 'any')
        );
    end if;
    return query
    select
        h.patient_id, greatest(h.tier, f.tier), (h.score * f.score)::real,
        case when names then array['name'] || f.matched else f.matched end,
        row_number() over (
            order by greatest(h.tier, f.tier), h.turned, h.score * f.score desc, h.sort_key, h.patient_id
        )
    from unnest(hits) as h
    join lateral (
        -- Of one part, the best way in which it matched; of several parts, the worst of these.
        select max(b.tier) as tier, avg(b.score) as score, array_agg(b.matched order by b.matched) as matched
        from (
            select distinct on (u.part) u.part, u.tier, u.score, u.matched
            from unnest(facts) as u where u.patient_id = h.patient_id
            order by u.part, u.tier, u.score desc, u.matched
        ) as b
    ) as f on true
    order by place
    limit cap;
end
$$;

-- One page of a search: `find_patients` up to its end, with the number of all, which stands in a row of its own
-- where the page is empty.
create function public.find_patient_page(
    clinic uuid, searched text [], asked public.patient_criteria, parts integer, wanted text,
    cap integer, skip integer, take integer
) returns table (id uuid, tier smallint, score real, matched text [], place bigint, total bigint)
language plpgsql stable security definer
set search_path = pg_catalog, public
set plan_cache_mode = force_generic_plan
as $$
begin
    if clinic is distinct from nullif(current_setting('cito.clinic_id', true), '')::uuid then
        return query select null::uuid, null::smallint, null::real, null::text[], null::bigint, 0::bigint;
    elsif parts = 0 and cardinality(searched) > 0 then
        return query
        with best as materialized (
            select f.*, row_number() over () as place
            from public.find_patients_by_name(clinic, searched, wanted, cap, least(skip + take, cap)) as f
        )
        select b.patient_id, b.tier, b.score, array['name'], b.place, n.total
        from (select coalesce(max(t.total), 0) as total from best as t) as n
        left join best as b on b.place > skip
        order by b.place;
    else
        return query
        with found as materialized (
            select f.* from public.find_patients(clinic, searched, asked, parts, wanted, cap) as f
        )
        select p.*, n.total
        from (select count(*) as total from found) as n
        left join lateral (
            select f.* from found as f order by f.place offset skip limit take
        ) as p on true
        order by p.place;
    end if;
end
$$;

alter function public.find_patient_page(
    uuid, text [], public.patient_criteria, integer, text, integer, integer, integer
) owner to cito_search;

drop function public.find_patients_by_name(uuid, text [], text, integer);
drop function public.find_patients_by_words(uuid, text [], text, integer);
drop function public.find_patients_by_word(uuid, text, text, integer);
drop function public.find_patients_by_equal_word(uuid, text, text, integer);
