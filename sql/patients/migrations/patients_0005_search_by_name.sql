-- Finding patients: functions that return ids, owned by cito_search, each with the clinic in every predicate.
-- Row-level security would cost their operators the indexes; rows are joined back under the policy by the caller.
-- Tiers: 1 identifier, 2 whole name, 3 whole name turned round, 4 words, 5 prefixes, 6 parts, 7 similar, 8 nickname.

create type public.patient_hit as (
    patient_id uuid, tier smallint, turned boolean, score real, sort_key text
);

-- Where texts that begin with a prefix end, in the order of collation C. `^@` would say the same, but finds an index
-- only while the prefix is known to the planner, and that is not so in a prepared statement.
create function public.after_prefix(prefix text) returns text
language sql immutable strict parallel safe
return prefix || U&'\+10FFFF' collate "C";

-- The setting below exists once the library is loaded, which its first use does.
select public.similarity('', '');

-- Words of a clinic that a searched word may stand for, from tier 5 on; `distance` as in name_distance.
create function public.similar_name_words(clinic uuid, searched text, nearest integer, furthest integer)
returns table (word text, distance real)
language sql stable
set pg_trgm.word_similarity_threshold = 0.45
begin atomic
    with q as materialized (select public.name_swaps(searched) as swaps),
    near as (
        select v.word, 5.9 - 0.9 * length(searched)::real / length(v.word) as distance
        from public.name_vocabulary as v
        where v.clinic_id = clinic and v.word > searched and v.word < public.after_prefix(searched) and nearest <= 5
        union all
        select v.word, 6.9 - 0.9 * length(searched)::real / length(v.word)
        from public.name_vocabulary as v
        where v.clinic_id = clinic and v.word like '%' || searched || '%' and not v.word ^@ searched
            and length(searched) >= 3 and nearest <= 6 and furthest >= 6
        union all
        -- Whatever contains the searched word is nearer than what is similar to it, and found above.
        -- Equal hashes have an equal seed, the clinic's: the clinic is compared, and needs no index here.
        select v.word, public.name_distance_by_errors(searched, v.word, public.name_errors(searched, q.swaps, v.word))
        from q, public.name_vocabulary as v
        where (v.clinic_id = clinic) is true and length(searched) >= 4 and furthest >= 7
            and strpos(v.word, searched) = 0
            and v.deletions && public.name_deletions(
                searched, case when length(searched) >= 8 then 2 else 1 end, public.patient_clinic_seed(clinic)
            )
        union all
        select v.word, public.name_distance_by_sound(searched, v.word)
        from public.name_vocabulary as v
        where v.clinic_id = clinic and v.sound = public.name_sound(searched) and v.sound <> ''
            and length(searched) >= 3 and furthest >= 7 and strpos(v.word, searched) = 0
        union all
        select v.word, public.name_distance_by_trigrams(searched, v.word)
        from public.name_vocabulary as v
        where v.clinic_id = clinic and searched operator(public.<%) v.word
            and length(searched) >= 3 and furthest >= 7 and strpos(v.word, searched) = 0
        union all
        select n.other, 8.2 from public.nickname as n
        where n.name = searched and furthest >= 8 and strpos(n.other, searched) = 0
    )
    select near.word, min(near.distance)::real from near
    where near.word <> searched
    group by near.word
    having min(near.distance) >= nearest and min(near.distance) < furthest + 1;
end;

-- Who bears a word, in the final order.
create function public.find_patients_by_equal_word(clinic uuid, searched text, wanted text, cap integer)
returns setof public.patient_hit
language sql stable
begin atomic
    select
        p.patient_id, 4::smallint, false, (case when p.joined then 0.95 else 1 end)::real, p.sort_key
    from public.patient_name_word as p
    where p.clinic_id = clinic and p.word = searched and (p.status = wanted or wanted = 'any')
    order by p.joined, p.sort_key, p.patient_id
    limit cap;
end;

-- One word: read from patient_name_word in its final order, tier after tier, until the cap is reached. Who bears
-- two such words is there twice; the caller keeps the better.
create function public.find_patients_by_word(clinic uuid, searched text, wanted text, cap integer)
returns setof public.patient_hit
language plpgsql stable
as $$
declare
    hits public.patient_hit[];
    more public.patient_hit[];
    tiers integer;
begin
    hits := array(select f from public.find_patients_by_equal_word(clinic, searched, wanted, cap) as f);
    for tiers in 5..7 loop -- the last is 7 and 8 in one
        exit when length(searched) < 3 and tiers > 5;
        exit when cardinality(hits) >= cap and (select count(distinct f.patient_id) from unnest(hits) as f) >= cap;
        -- Nearest words first, and no further than the cap needs: only the last distance is read whole, for its
        -- order is by name.
        select array_agg(h) into more from (
            select (n.patient_id, floor(n.distance), false, 1 - (n.distance - floor(n.distance)), n.sort_key)
                ::public.patient_hit as h
            from (
                select p.patient_id, w.distance, p.sort_key
                from (
                    select x.word, x.distance
                    from public.similar_name_words(clinic, searched, tiers, case tiers when 7 then 8 else tiers end)
                        as x
                    order by x.distance
                ) as w
                cross join lateral (
                    select r.patient_id, r.sort_key from public.patient_name_word as r
                    where r.clinic_id = clinic and r.word = w.word and (r.status = wanted or wanted = 'any')
                    order by r.joined, r.sort_key, r.patient_id
                    limit cap
                ) as p
                order by w.distance
                fetch first (cap + cardinality(hits)) rows with ties
            ) as n
            order by n.distance, n.sort_key, n.patient_id
            limit cap + cardinality(hits)
        ) as looser;
        hits := hits || more;
    end loop;
    return query select h.* from unnest(hits) as h;
end
$$;

create type public.name_candidate as (
    patient_id uuid, sort_key text, words text [], places smallint [], own_words smallint
);

-- Several words against the names of candidates. `numbers`, `words`, `distances`: which word may stand for which of
-- the searched, and how near it is. Searched words below three letters match the beginning of a word as well.
-- At least `needed` of the searched words must match; who misses some is tier 7 at most.
create function public.rank_names(
    candidates public.name_candidate [], searched text [],
    numbers integer [], words text [], distances real [], needed integer
) returns setof public.patient_hit
language sql stable
set enable_nestloop = off -- how long the arrays are is not known when this is planned
begin atomic
    with name as (
        select c.patient_id, w.word, w.place, w.n > c.own_words as joined
        from unnest(candidates) as c, unnest(c.words, c.places) with ordinality as w (word, place, n)
    ),
    match as (
        select name.patient_id, m.i, m.distance + case when name.joined then 0.05 else 0 end as distance, name.place
        from name join unnest(numbers, words, distances) as m (i, word, distance) on m.word = name.word
        union all
        select
            name.patient_id, s.i, 5.0 + 0.9 * (1 - length(s.word)::real / length(name.word)), name.place
        from unnest(searched) with ordinality as s (word, i) join name on name.word ^@ s.word
        where length(s.word) < 3 and name.word <> s.word and not name.joined
    ),
    best as (
        select distinct on (match.patient_id, match.i)
            match.patient_id, match.i, match.distance, match.place
        from match
        order by match.patient_id, match.i, match.distance, match.place
    ),
    placed as (
        select best.*, lag(best.place) over (partition by best.patient_id order by best.i) > best.place as turned
        from best
    ),
    ranked as (
        select
            placed.patient_id, floor(max(placed.distance)) as tier, coalesce(bool_or(placed.turned), false) as turned,
            sum(1 - (placed.distance - floor(placed.distance))) / cardinality(searched) as score,
            count(*) as matched
        from placed
        group by placed.patient_id
        having count(*) >= needed
    )
    select
        r.patient_id,
        (case when r.matched < cardinality(searched) then greatest(r.tier, 7) else r.tier end)::smallint,
        r.turned, r.score::real, c.sort_key
    from ranked as r join unnest(candidates) as c using (patient_id);
end;

-- Several words: an index intersection of the two longest, then every word of the candidates is compared. Terms are
-- hashed with the clinic as seed: its rows need no index by clinic, which would read them all.
create function public.find_patients_by_words(clinic uuid, searched text [], wanted text, cap integer)
returns setof public.patient_hit
language plpgsql stable
as $$
declare
    seed constant bigint := public.patient_clinic_seed(clinic);
    longest constant integer[] := array(
        select i from unnest(searched) with ordinality as s (word, i) order by length(word) desc, i limit 2
    );
    numbers integer[];
    words text[];
    distances real[];
    some_terms bigint[];
    other_terms bigint[];
begin
    select
        array_agg(m.i), array_agg(m.word), array_agg(m.distance),
        array_agg(distinct hashtextextended(m.term, seed)) filter (where m.i = longest[1]),
        array_agg(distinct hashtextextended(m.term, seed)) filter (where m.i = longest[2])
    into numbers, words, distances, some_terms, other_terms
    from (
        select
            s.i, w.word, w.distance,
            -- An index intersection slows down with each term, and with each candidate that it lets through: words
            -- that begin alike become one term, the sooner the more words there are. Measured at 250,000 patients.
            case
                when length(s.word) < 3 then '^' || s.word
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
    select h.* from public.rank_names(
        array(
            select (n.patient_id, n.sort_key, n.words, n.places, n.own_words)::public.name_candidate
            from public.patient_name as n
            where (n.clinic_id = clinic) is true and n.terms && some_terms and n.terms && other_terms
                and (n.status = wanted or wanted = 'any')
        ),
        searched, numbers, words, distances, cardinality(searched)
    ) as h
    order by h.tier, h.turned, h.score desc, h.sort_key, h.patient_id
    limit cap;
end
$$;

-- A name, as the folded words that were typed: all tiers, each patient once, in the final order.
create function public.find_patients_by_name(clinic uuid, searched text [], wanted text, cap integer)
returns setof public.patient_hit
language plpgsql stable
set plan_cache_mode = auto
as $$
declare
    seed constant bigint := public.patient_clinic_seed(clinic);
    whole constant bigint := hashtextextended('=' || array_to_string(searched, ''), seed);
    turned constant bigint := hashtextextended('~' || array_to_string(searched, ''), seed);
    hits public.patient_hit[];
    shorter text[];
begin
    select array_agg(h) into hits from (
        select (
            n.patient_id, case when whole = any(n.terms) then 2 else 3 end, whole <> all(n.terms), 1, n.sort_key
        )::public.patient_hit as h
        from public.patient_name as n
        where (n.clinic_id = clinic) is true and n.terms && array[whole, turned] and (n.status = wanted or wanted = 'any')
    ) as whole_names;
    if cardinality(searched) = 1 then
        hits := hits || array(select f from public.find_patients_by_word(clinic, searched[1], wanted, cap) as f);
    else
        hits := hits || array(select f from public.find_patients_by_words(clinic, searched, wanted, cap) as f);
        -- Neighbours typed apart that are one word in the name: "o brien" for O'Brien.
        for k in 1..cardinality(searched) - 1 loop
            shorter := searched[:k - 1] || left(searched[k] || searched[k + 1], 60) || searched[k + 2:];
            continue when not exists (
                select from public.name_vocabulary as v where v.clinic_id = clinic and v.word = shorter[k]
            );
            if cardinality(shorter) = 1 then
                hits := hits || array(select f from public.find_patients_by_equal_word(clinic, shorter[1], wanted, cap) as f);
            else
                hits := hits || array(
                    select f from public.find_patients_by_words(clinic, shorter, wanted, cap) as f
                );
            end if;
        end loop;
        -- Nobody matches every word: then those who match one, the most alike name first.
        if coalesce(cardinality(hits), 0) = 0 then
            hits := hits || array(
                select (
                    f.patient_id, 7, true,
                    0.8 * public.similarity(array_to_string(searched, ' '), replace(f.sort_key, chr(1), ' ')),
                    f.sort_key
                )::public.patient_hit
                from unnest(searched) as s (word)
                cross join lateral public.find_patients_by_word(clinic, s.word, wanted, cap / 5) as f
                where length(s.word) >= 3 and f.tier <= 7
            );
        end if;
    end if;
    return query
    select b.patient_id, b.tier, b.turned, b.score, b.sort_key from (
        select distinct on (h.patient_id) h.* from unnest(hits) as h
        order by h.patient_id, h.tier, h.turned, h.score desc
    ) as b
    order by b.tier, b.turned, b.score desc, b.sort_key, b.patient_id
    limit cap;
end
$$;
