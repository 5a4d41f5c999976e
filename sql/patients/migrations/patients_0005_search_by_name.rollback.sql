drop function public.find_patients_by_name(uuid, text [], text, integer);
drop function public.find_patients_by_words(uuid, text [], text, integer);
drop function public.rank_names(public.name_candidate [], text [], integer [], text [], real [], integer);
drop function public.find_patients_by_word(uuid, text, text, integer);
drop function public.find_patients_by_equal_word(uuid, text, text, integer);
drop function public.similar_name_words(uuid, text, integer, integer);
drop function public.after_prefix(text);
drop type public.name_candidate;
drop type public.patient_hit;
