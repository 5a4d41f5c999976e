-- The functions as they were before.

-- One word: its bearers, then those of similar words, tier after tier until the cap is reached.
create or replace function public.find_patients_by_word(clinic uuid, searched text, wanted text, cap integer, most integer)
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

-- Names of which some words were typed, and words that they lack: a middle name that nobody wrote down, "Dr", "junior".
-- The most alike name first, and those in the order of the name before turned ones, as in every tier.
create or replace function public.find_patients_by_some_words(clinic uuid, searched text [], wanted text, cap integer)
returns setof public.patient_hit
language plpgsql stable
set plan_cache_mode = force_generic_plan
as $$
declare
    typed constant text := ' ' || array_to_string(searched, ' ');
begin
    return query
    select n.patient_id, 7::smallint,
        strpos(typed, n.family) > 0 and strpos(typed, n.given) > strpos(typed, n.family),
        (0.8 * public.similarity(typed, n.given || n.family))::real, n.sort_key
    from (
        select distinct on (f.patient_id) f.patient_id, f.sort_key,
            ' ' || split_part(f.sort_key, chr(1), 2) as given, ' ' || split_part(f.sort_key, chr(1), 1) as family
        from unnest(searched) as s (word)
        cross join lateral public.find_patients_by_word(clinic, s.word, wanted, cap / 5, cap / 5) as f
        where length(s.word) >= 3 and f.tier <= 7
    ) as n;
end
$$;
