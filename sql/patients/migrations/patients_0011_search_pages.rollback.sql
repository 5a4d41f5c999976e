-- The functions as they were before.

drop function public.find_patient_page(
    uuid, text [], public.patient_criteria, integer, text, integer, integer, integer
);

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

-- The whole search: at most `cap` patients of one clinic in their final order. The clinic must be the transaction's.
-- `matched` says which fields matched. Name and birth date together: when nobody holds both, whoever holds one and
-- comes near in the other, as tier 7 and without the field that differs.
-- Numbers and dates are planned once: planning their dozen ways each time takes longer than looking. Names are not:
-- their best plan depends on the words (`find_patients_by_name`).
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
        from public.find_patients_by_name(clinic, searched, wanted, cap) as h;
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
                    from public.find_patients_by_name(clinic, searched, wanted, 20) as h
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

drop function public.find_patients_by_name(uuid, text [], text, integer, integer);
drop function public.find_patients_by_words(uuid, text [], text, integer, integer);
