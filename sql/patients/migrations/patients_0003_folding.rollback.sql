drop function public.name_distance(text, text [], text, text);
drop function public.name_distance_by_trigrams(text, text);
drop function public.name_distance_by_sound(text, text);
drop function public.name_distance_by_errors(text, text, integer);
drop function public.name_errors(text, text [], text);
drop function public.name_near_swapped(text [], text);
drop function public.name_sound(text);
