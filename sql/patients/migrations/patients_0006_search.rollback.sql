drop function public.find_patients(uuid, text [], public.patient_criteria, integer, text, integer);
drop function public.rank_patients_by_name(uuid, uuid [], text [], text, integer);
drop function public.find_patients_by_facts(uuid, public.patient_criteria, integer);
drop type public.patient_fact;
drop type public.patient_criteria;
