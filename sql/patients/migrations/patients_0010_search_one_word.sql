-- Searches for names pay for what they show: a page is ranked, the rest is counted, and no further than the cap.
-- Statements are planned once in a connection: planning them again took longer than running them.

-- As before, but each branch keeps its duplicates until the end: a UNION made room for a million of them each time.
create or replace function public.name_deletions(word text, distance integer, seed bigint) returns bigint []
language sql immutable strict parallel safe
begin atomic
    with head as (select left(word, 7) as w),
    once as (
        select left(w, i - 1) || substr(w, i + 1) as v from head, generate_series(1, length(w)) as i
        where distance >= 1
    ),
    twice as (
        select left(v, i - 1) || substr(v, i + 1) as v from once, generate_series(1, length(v)) as i
        where distance >= 2
    )
    select array_agg(distinct hashtextextended(v, seed))
    from (select w as v from head union all select v from once union all select v from twice) as variants;
end;

-- The setting below exists once the library is loaded, which its first use does.
select public.similarity('', '');

-- Words of a clinic that a searched word may stand for, from tier 5 on; `distance` as in name_distance.
create or replace function public.similar_name_words(clinic uuid, searched text, nearest integer, furthest integer)
returns table (word text, distance real)
language plpgsql stable
set pg_trgm.word_similarity_threshold = 0.45
set plan_cache_mode = force_generic_plan
as $$
declare
    its_swaps constant text[] := public.name_swaps(searched);
    its_sound constant text := public.name_sound(searched);
    its_deletions constant bigint[] := case when length(searched) >= 4 and furthest >= 7 then public.name_deletions(
        searched, case when length(searched) >= 8 then 2 else 1 end, public.patient_clinic_seed(clinic)
    ) end;
    last constant text := public.after_prefix(searched);
begin
    return query
    select near.word, min(near.distance)::real
    from (
        select v.word, 5.9 - 0.9 * length(searched)::real / length(v.word) as distance
        from public.name_vocabulary as v
        where v.clinic_id = clinic and v.word > searched and v.word < last and nearest <= 5
        union all
        select v.word, 6.9 - 0.9 * length(searched)::real / length(v.word)
        from public.name_vocabulary as v
        where v.clinic_id = clinic and v.word like '%' || searched || '%' and not v.word ^@ searched
            and length(searched) >= 3 and nearest <= 6 and furthest >= 6
        union all
        -- Whatever contains the searched word is nearer than what is similar to it, and found above.
        -- Equal hashes have an equal seed, the clinic's: the clinic is compared, and needs no index here.
        select e.word, public.name_distance_by_errors(searched, e.word, e.errors)
        from (
            select v.word, public.name_errors(searched, its_swaps, v.word) as errors
            from public.name_vocabulary as v
            where (v.clinic_id = clinic) is true and v.deletions && its_deletions and strpos(v.word, searched) = 0
                and length(searched) >= 4 and furthest >= 7
            offset 0 -- the errors are counted once
        ) as e
        union all
        select v.word, public.name_distance_by_sound(searched, v.word)
        from public.name_vocabulary as v
        where v.clinic_id = clinic and v.sound = its_sound and v.sound <> ''
            and length(searched) >= 3 and furthest >= 7 and strpos(v.word, searched) = 0
        union all
        select v.word, public.name_distance_by_trigrams(searched, v.word)
        from public.name_vocabulary as v
        where v.clinic_id = clinic and searched operator(public.<%) v.word
            and length(searched) >= 3 and furthest >= 7 and strpos(v.word, searched) = 0
        union all
        select n.other, 8.2 from public.nickname as n
        where n.name = searched and furthest >= 8 and strpos(n.other, searched) = 0
    ) as near
    where near.word <> searched
    group by near.word
    having min(near.distance) >= nearest and min(near.distance) < furthest + 1;
end
$$;

-- The best hits of a search in their order, each with the number of all that match, at most the cap.
create type public.patient_place as (
    patient_id uuid, tier smallint, turned boolean, score real, sort_key text, total bigint
);

-- Who bears one of some words, as many as are wanted, nearest word first. Each word is read in the order of names and
-- no further than that many of its bearers, nor any word farther than the last of them.
create function public.find_nearest_bearers(
    clinic uuid, some_words text [], distances real [], wanted text, most integer
) returns public.patient_hit []
language plpgsql stable
set plan_cache_mode = force_generic_plan
as $$
declare
    hits public.patient_hit[];
    bearers integer := 2 * most; -- who bears two of the words is there twice
    seen bigint;
begin
    loop
        with bearer as materialized (
            select r.patient_id, l.distance, r.sort_key
            from (
                -- Neighbours written as one come after the word itself, not after one that is only similar.
                select w.word, j.joined, w.distance + case when j.joined and w.distance = 4 then 0.05 else 0 end
                    as distance
                from unnest(some_words, distances) as w (word, distance), (values (false), (true)) as j (joined)
                order by 3
            ) as l
            cross join lateral (
                select p.patient_id, p.sort_key from public.patient_name_word as p
                where p.clinic_id = clinic and p.word = l.word and p.joined = l.joined
                    and (p.status = wanted or wanted = 'any')
                order by p.sort_key, p.patient_id
                limit most
            ) as r
            order by l.distance
            fetch first (bearers) rows with ties
        ),
        best as (
            select distinct on (b.patient_id) b.* from bearer as b order by b.patient_id, b.distance
        )
        select
            array(
                select (
                    b.patient_id, floor(b.distance), false, 1 - (b.distance - floor(b.distance)), b.sort_key
                )::public.patient_hit
                from best as b
                order by b.distance, b.sort_key, b.patient_id
                limit most
            ),
            (select count(*) from bearer)
        into hits, seen;
        exit when cardinality(hits) >= most or seen < bearers;
        bearers := 4 * bearers;
    end loop;
    return hits;
end
$$;

-- Whose whole name was typed, however it is parted into words.
create function public.find_patients_by_whole_name(clinic uuid, searched text [], wanted text)
returns setof public.patient_hit
language plpgsql stable
set plan_cache_mode = force_generic_plan
as $$
declare
    seed constant bigint := public.patient_clinic_seed(clinic);
    whole constant bigint := hashtextextended('=' || array_to_string(searched, ''), seed);
    either constant bigint[] := array[whole, hashtextextended('~' || array_to_string(searched, ''), seed)];
begin
    return query
    select n.patient_id, (case when whole = any(n.terms) then 2 else 3 end)::smallint, whole <> all(n.terms), 1::real,
        n.sort_key
    from public.patient_name as n
    where (n.clinic_id = clinic) is true and n.terms && either and (n.status = wanted or wanted = 'any');
end
$$;

-- One word: its bearers, then those of similar words, tier after tier until the cap is reached.
create function public.find_patients_by_word(clinic uuid, searched text, wanted text, cap integer, most integer)
returns setof public.patient_place
language plpgsql stable
set plan_cache_mode = force_generic_plan
as $$
declare
    whole public.patient_hit[];
    some_words text[] := array[searched];
    distances real[] := array[4];
    more text[];
    their_distances real[];
    bearers integer;
    total bigint := 0;
    seen bigint;
begin
    whole := array(select h from public.find_patients_by_whole_name(clinic, array[searched], wanted) as h);
    for step in 0..2 loop
        if step > 0 then
            exit when total >= cap or (step = 2 and length(searched) < 3);
            select array_agg(s.word), array_agg(s.distance) into more, their_distances
            from public.similar_name_words(
                clinic, searched, case step when 1 then 5 else 7 end,
                case when step = 2 then 8 when length(searched) < 3 then 5 else 6 end
            ) as s;
            continue when more is null;
            some_words := some_words || more;
            distances := distances || their_distances;
        end if;
        bearers := cap + cap / 8; -- who bears two of the words is counted once
        loop
            select count(distinct b.patient_id), count(*) into total, seen
            from (
                select (h).patient_id from unnest(whole) as h
                union all
                (
                    select r.patient_id
                    from unnest(some_words) as w (word)
                    cross join lateral (
                        select p.patient_id from public.patient_name_word as p
                        where p.clinic_id = clinic and p.word = w.word and (p.status = wanted or wanted = 'any')
                        limit cap
                    ) as r
                    limit bearers
                )
            ) as b;
            exit when total >= cap or seen < bearers;
            bearers := null;
        end loop;
    end loop;
    return query
    select b.patient_id, b.tier, b.turned, b.score, b.sort_key, least(total, cap)
    from (
        select distinct on (h.patient_id) h.*
        from unnest(
            whole || public.find_nearest_bearers(
                clinic, some_words, distances, wanted, most + coalesce(cardinality(whole), 0)
            )
        ) as h
        order by h.patient_id, h.tier, h.turned, h.score desc
    ) as b
    order by b.tier, b.turned, b.score desc, b.sort_key, b.patient_id
    limit most;
end
$$;
