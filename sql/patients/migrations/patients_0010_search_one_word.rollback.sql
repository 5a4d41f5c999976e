-- The functions as they were before.

drop function public.find_patients_by_word(uuid, text, text, integer, integer);
drop function public.find_patients_by_whole_name(uuid, text [], text);
drop function public.find_nearest_bearers(uuid, text [], real [], text, integer);
drop type public.patient_place;

-- The setting below exists once the library is loaded, which its first use does.
select public.similarity('', '');

-- Words of a clinic that a searched word may stand for, from tier 5 on; `distance` as in name_distance.
create or replace function public.similar_name_words(clinic uuid, searched text, nearest integer, furthest integer)
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

-- SymSpell's deletions (Garbe 2012), hashed with a seed that is the clinic's: two words within the distance share
-- one. Of the first seven letters, one or two are left out; words of six letters and more may be searched at two.
create or replace function public.name_deletions(word text, distance integer, seed bigint) returns bigint[]
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
    from (select w as v from head union select v from once union select v from twice) as variants;
end;
