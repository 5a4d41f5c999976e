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
            and length(searched) >= 3 and furthest >= 6
        union all
        -- Equal hashes have an equal seed, the clinic's: the clinic is compared, and needs no index here.
        select v.word, public.name_distance_by_errors(searched, v.word, public.name_errors(searched, q.swaps, v.word))
        from q, public.name_vocabulary as v
        where (v.clinic_id = clinic) is true and length(searched) >= 4 and furthest >= 7
            and v.deletions && public.name_deletions(
                searched, case when length(searched) >= 8 then 2 else 1 end, public.patient_clinic_seed(clinic)
            )
        union all
        select v.word, public.name_distance_by_sound(searched, v.word)
        from public.name_vocabulary as v
        where v.clinic_id = clinic and v.sound = public.name_sound(searched) and v.sound <> ''
            and length(searched) >= 3 and furthest >= 7
        union all
        select v.word, public.name_distance_by_trigrams(searched, v.word)
        from public.name_vocabulary as v
        where v.clinic_id = clinic and searched operator(public.<%) v.word
            and length(searched) >= 3 and furthest >= 7
        union all
        select n.other, 8.2 from public.nickname as n where n.name = searched and furthest >= 8
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
    for tiers in 5..8 loop
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
                    from public.similar_name_words(clinic, searched, tiers, tiers) as x order by x.distance
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

-- Several words: an index intersection of the two longest, then every word of the candidates is compared.
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
            -- An index intersection slows down with each term: many words that begin alike are one.
            case
                when length(s.word) < 3 then '^' || s.word
                when count(*) over (partition by s.i, left(w.word, 3)) > 3 then '^' || left(w.word, 3)
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
            where n.clinic_id = clinic and n.terms && some_terms and n.terms && other_terms
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
        where n.clinic_id = clinic and n.terms && array[whole, turned] and (n.status = wanted or wanted = 'any')
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

-- What a search box or its filters hold besides names. Parts that are null were not asked for; all others must hold.
create type public.patient_criteria as (
    record_id uuid, code text, number text, phone_e164 text, phone_digits text, email text, born date,
    number_born date
);

create type public.patient_fact as (patient_id uuid, part text, tier smallint, score real, matched text);

-- Patients that hold one of the criteria, one row for each that they hold.
create function public.find_patients_by_facts(clinic uuid, asked public.patient_criteria, cap integer)
returns setof public.patient_fact
language sql stable
begin atomic
    select p.id, 'id', 1::smallint, 1::real, 'id' from public.patient as p
    where p.clinic_id = clinic and p.id = (asked).record_id
    union all
    -- Who was merged is found under the old number, as the record that took its place.
    select coalesce(p.merged_into, p.id), 'code', 1, 1, 'mrn' from public.patient as p
    where p.clinic_id = clinic and p.mrn_key = (asked).code and p.deleted_at is null
    union all
    select coalesce(p.merged_into, p.id), 'code', 1, 1, 'studentNumber' from public.patient as p
    where p.clinic_id = clinic and p.student_key = (asked).code and p.deleted_at is null
    union all
    (
        select p.id, 'code', 5, length((asked).code)::real / length(p.mrn_key), 'mrn' from public.patient as p
        where p.clinic_id = clinic and p.mrn_key >= (asked).code and p.mrn_key < public.after_prefix((asked).code)
            and p.deleted_at is null and p.merged_into is null
            and not exists (
                select from public.patient as e
                where e.clinic_id = clinic and e.deleted_at is null
                    and (e.mrn_key = (asked).code or e.student_key = (asked).code)
            )
        order by p.mrn_key
        limit cap
    )
    union all
    select coalesce(p.merged_into, p.id), 'number', 1, 1, 'mrn' from public.patient as p
    where p.clinic_id = clinic and p.mrn_key = (asked).number and p.deleted_at is null
    union all
    select coalesce(p.merged_into, p.id), 'number', 1, 1, 'studentNumber' from public.patient as p
    where p.clinic_id = clinic and p.student_key = (asked).number and p.deleted_at is null
    union all
    (
        select coalesce(p.merged_into, p.id), 'number', 6, length((asked).number)::real / length(p.mrn_key), 'mrn'
        from public.patient as p
        where p.clinic_id = clinic and p.mrn_digits = ltrim((asked).number, '0') and p.mrn_digits <> ''
            and p.deleted_at is null
        order by p.mrn_key
        limit cap
    )
    union all
    select n.patient_id, 'number', 2, 1, 'dateOfBirth' from public.patient_name as n
    where n.clinic_id = clinic and n.date_of_birth = (asked).number_born
    union all
    select p.id, f.part, 1, 1, 'phone' from public.patient as p,
        (values ((asked).number, 'number'), ((asked).phone_digits, 'phone')) as f (digits, part)
    where p.clinic_id = clinic and p.phone_reversed = reverse(ltrim((asked).phone_e164, '+'))
        and p.phone_e164 is not null and p.deleted_at is null and f.digits is not null
    union all
    -- The last digits; or a number kept without its country, which ends what was asked for.
    (
        select p.id, f.part, 6, least(1, length(f.digits)::real / length(p.phone_reversed)), 'phone'
        from (values ((asked).number, 'number'), ((asked).phone_digits, 'phone')) as f (digits, part)
        cross join lateral (
            select c.id, c.phone_reversed from public.patient as c
            where c.clinic_id = clinic and c.phone_reversed >= reverse(ltrim(f.digits, '0'))
                and c.phone_reversed < public.after_prefix(reverse(ltrim(f.digits, '0')))
                and length(f.digits) >= 4 and c.deleted_at is null
            union
            select c.id, c.phone_reversed from public.patient as c
            where c.clinic_id = clinic and c.phone_e164 is null and c.deleted_at is null
                and f.digits is not null
                and c.phone_reversed = any(array(
                    select left(reverse(coalesce(ltrim((asked).phone_e164, '+'), f.digits)), n)
                    from generate_series(7, 15) as n
                ))
        ) as p
        order by p.phone_reversed, p.id
        limit cap
    )
    union all
    (
        select
            p.id, 'email', case when p.email_key = (asked).email then 1 else 5 end,
            length((asked).email)::real / length(p.email_key), 'email'
        from public.patient as p
        where p.clinic_id = clinic and p.email_key >= (asked).email and p.email_key < public.after_prefix((asked).email)
            and p.deleted_at is null
        order by p.email_key, p.id
        limit cap
    )
    union all
    select n.patient_id, 'born', 2, 1, 'dateOfBirth' from public.patient_name as n
    where n.clinic_id = clinic and n.date_of_birth = (asked).born;
end;

-- The names of some patients against the words searched for, compared directly: they are few.
create function public.rank_patients_by_name(
    clinic uuid, patients uuid [], searched text [], wanted text, needed integer
) returns setof public.patient_hit
language plpgsql stable
as $$
declare
    candidates constant public.name_candidate[] := array(
        select (n.patient_id, n.sort_key, n.words, n.places, n.own_words)::public.name_candidate
        from public.patient_name as n
        where n.clinic_id = clinic and n.patient_id = any(patients) and (n.status = wanted or wanted = 'any')
    );
    whole constant text := array_to_string(searched, '');
    numbers integer[];
    words text[];
    distances real[];
begin
    select array_agg(m.i), array_agg(m.word), array_agg(m.distance) into numbers, words, distances
    from (
        select s.i, w.word, coalesce(
            public.name_distance(s.word, public.name_swaps(s.word), public.name_sound(s.word), w.word),
            (select 8.2 from public.nickname as k where k.name = s.word and k.other = w.word)
        ) as distance
        from unnest(searched) with ordinality as s (word, i),
            (select distinct unnest((c).words) as word from unnest(candidates) as c) as w
    ) as m
    where m.distance is not null;
    return query
    select
        h.patient_id,
        case
            when replace(split_part(h.sort_key, chr(1), 2) || split_part(h.sort_key, chr(1), 1), ' ', '') = whole
                then 2::smallint
            when replace(split_part(h.sort_key, chr(1), 1) || split_part(h.sort_key, chr(1), 2), ' ', '') = whole
                then 3::smallint
            else h.tier
        end, h.turned, h.score, h.sort_key
    from public.rank_names(candidates, searched, numbers, words, distances, needed) as h;
end
$$;

-- The whole search: at most `cap` patients of one clinic in their final order. The clinic must be the transaction's.
-- `matched` says which fields matched. Name and birth date together: when nobody holds both, whoever holds one and
-- comes near in the other, as tier 7 and without the field that differs.
create function public.find_patients(
    clinic uuid, searched text [], asked public.patient_criteria, parts integer, wanted text, cap integer
) returns table (id uuid, tier smallint, score real, matched text [], place bigint)
language plpgsql stable security definer rows 1000
set search_path = pg_catalog, public
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

alter function public.find_patients(uuid, text [], public.patient_criteria, integer, text, integer)
owner to cito_search;
