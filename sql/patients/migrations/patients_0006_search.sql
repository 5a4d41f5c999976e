-- The whole search: names together with numbers, phones, e-mail and birth dates.

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
    -- The last digits, zeros included; of a whole number, those before it belong to the network and not to it. Or a
    -- number kept without its country, which ends what was asked for.
    (
        select p.id, f.part, 6, least(1, length(f.digits)::real / length(p.phone_reversed)), 'phone'
        from (
            select v.digits, v.part, reverse(
                case when length(ltrim(v.digits, '0')) >= 7 then ltrim(v.digits, '0') else v.digits end
            ) as ending
            from (values ((asked).number, 'number'), ((asked).phone_digits, 'phone')) as v (digits, part)
        ) as f
        cross join lateral (
            select c.id, c.phone_reversed from public.patient as c
            where c.clinic_id = clinic and c.phone_reversed >= f.ending
                and c.phone_reversed < public.after_prefix(f.ending)
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
-- Numbers and dates are planned once: planning their dozen ways each time takes longer than looking. Names are not:
-- their best plan depends on the words (`find_patients_by_name`).
create function public.find_patients(
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

alter function public.find_patients(uuid, text [], public.patient_criteria, integer, text, integer)
owner to cito_search;
