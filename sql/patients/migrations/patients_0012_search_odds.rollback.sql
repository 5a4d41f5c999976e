-- The functions as they were before.

-- A name, as the folded words that were typed: the first `most` of all tiers in their order.
create or replace function public.find_patients_by_name(
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

-- Patients that hold one of the criteria, one row for each that they hold.
create or replace function public.find_patients_by_facts(clinic uuid, asked public.patient_criteria, cap integer)
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

drop function public.find_patients_by_some_words(uuid, text [], text, integer);
