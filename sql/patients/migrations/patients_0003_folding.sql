-- How names are compared. `folding.py` says the same in Python, and a property test holds the two together.
-- The `unaccent` extension is not used: it is not immutable, and its rules change with the server.

-- Every letter as a plain one: without case as Unicode 16 folds it, and without its stroke. All are spelled out, for
-- what `lower` knows of letters differs from server to server. What is met most stands first, to be found first.
create function public.name_letters(name text) returns text
language sql immutable strict parallel safe
return replace(replace(replace(replace(replace(replace(replace(translate(
    name,
    'abcdefghijklmnopqrstuvwxyz 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ' ||
    'αβγδεζηθικλμνξοπρστυφχψωабвгдежзиклмнопрстуфхцчшщъыьэюя' ||
    U&'\0345' ||
    'ÆÐØÞøĐđĦħıĸŁłŊŒŦŧƀƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƚƜƝƟƢƤƦƧƩƬƮƱƲƳƵƷƸƼǤǶǷȜȠȢȤ' ||
    'ȷȺȻȽȾɁɃɄɅɆɈɊɌɍɎɏɨʉỺỼỾℲↃⱠⱢⱣⱤⱧⱩⱫⱭⱮⱯⱰⱲⱵⱾⱿꜢꜤꜦꜨꜪꜬꜮꜲꜴꜶꜸꜺꜼꜾꝀꝂꝄꝆꝈꝊꝌꝎ' ||
    'ꝐꝒꝔꝖꝘꝚꝜꝞꝠꝢꝤꝦꝨꝪꝬꝮꝹꝻꝽꝾꞀꞂꞄꞆꞋꞍꞐꞒꞖꞘꞚꞜꞞꞠꞢꞤꞦꞨꞪꞫꞬꞭꞮꞰꞱꞲꞳꞴꞶꞸꞺꞼꞾꟀꟂꟄꟅꟆꟇꟉ' ||
    'ꟋꟌꟐꟖꟘꟚꟜꟵͰͲͶͿΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩςϏϘϚϜϞϠϷϺϽϾϿ' ||
    'ЂЄЅІЈЉЊЋЏАБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѸѺѼѾҀҊҌҎҐ' ||
    'ҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӃӅӇӉӋӍӔӘӠӨӶӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪ' ||
    'ԬԮᲀᲁᲂᲃᲄᲅᲆᲇᲈᲉꙀꙂꙄꙆꙈꙊꙌꙎꙐꙒꙔꙖꙘꙚꙜꙞꙠꙢꙤꙦꙨꙪꙬꚀꚂꚄꚆꚈꚊꚌꚎꚐꚒꚔꚖꚘꚚ' ||
    'ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖ' ||
    'ႠႡႢႣႤႥႦႧႨႩႪႫႬႭႮႯႰႱႲႳႴႵႶႷႸႹႺႻႼႽႾႿჀჁჂჃჄჅჇჍᲐᲑᲒᲓᲔᲕᲖᲗᲘᲙᲚᲛᲜᲝᲞᲟᲠᲡᲢᲣ' ||
    'ᲤᲥᲦᲧᲨᲩᲪᲫᲬᲭᲮᲯᲰᲱᲲᲳᲴᲵᲶᲷᲸᲹᲺᲽᲾᲿ' ||
    'ϢϤϦϨϪϬϮⲀⲂⲄⲆⲈⲊⲌⲎⲐⲒⲔⲖⲘⲚⲜⲞⲠⲢⲤⲦⲨⲪⲬⲮⲰⲲⲴⲶⲸⲺⲼⲾⳀⳂⳄⳆⳈⳊⳌⳎⳐⳒⳔⳖⳘⳚⳜⳞⳠⳢⳫⳭⳲ' ||
    'ᏸᏹᏺᏻᏼᏽꭰꭱꭲꭳꭴꭵꭶꭷꭸꭹꭺꭻꭼꭽꭾꭿꮀꮁꮂꮃꮄꮅꮆꮇꮈꮉꮊꮋꮌꮍꮎꮏꮐꮑꮒꮓꮔꮕꮖꮗꮘꮙꮚꮛꮜꮝꮞꮟꮠꮡꮢꮣꮤꮥ' ||
    'ꮦꮧꮨꮩꮪꮫꮬꮭꮮꮯꮰꮱꮲꮳꮴꮵꮶꮷꮸꮹꮺꮻꮼꮽꮾꮿ' ||
    'ⰀⰁⰂⰃⰄⰅⰆⰇⰈⰉⰊⰋⰌⰍⰎⰏⰐⰑⰒⰓⰔⰕⰖⰗⰘⰙⰚⰛⰜⰝⰞⰟⰠⰡⰢⰣⰤⰥⰦⰧⰨⰩⰪⰫⰬⰭⰮⰯ' ||
    '𐐀𐐁𐐂𐐃𐐄𐐅𐐆𐐇𐐈𐐉𐐊𐐋𐐌𐐍𐐎𐐏𐐐𐐑𐐒𐐓𐐔𐐕𐐖𐐗𐐘𐐙𐐚𐐛𐐜𐐝𐐞𐐟𐐠𐐡𐐢𐐣𐐤𐐥𐐦𐐧' ||
    '𐒰𐒱𐒲𐒳𐒴𐒵𐒶𐒷𐒸𐒹𐒺𐒻𐒼𐒽𐒾𐒿𐓀𐓁𐓂𐓃𐓄𐓅𐓆𐓇𐓈𐓉𐓊𐓋𐓌𐓍𐓎𐓏𐓐𐓑𐓒𐓓' ||
    '𐕰𐕱𐕲𐕳𐕴𐕵𐕶𐕷𐕸𐕹𐕺𐕼𐕽𐕾𐕿𐖀𐖁𐖂𐖃𐖄𐖅𐖆𐖇𐖈𐖉𐖊𐖌𐖍𐖎𐖏𐖐𐖑𐖒𐖔𐖕' ||
    '𐲀𐲁𐲂𐲃𐲄𐲅𐲆𐲇𐲈𐲉𐲊𐲋𐲌𐲍𐲎𐲏𐲐𐲑𐲒𐲓𐲔𐲕𐲖𐲗𐲘𐲙𐲚𐲛𐲜𐲝𐲞𐲟𐲠𐲡𐲢𐲣𐲤𐲥𐲦𐲧𐲨𐲩𐲪𐲫𐲬𐲭𐲮𐲯𐲰𐲱𐲲' ||
    '𐵐𐵑𐵒𐵓𐵔𐵕𐵖𐵗𐵘𐵙𐵚𐵛𐵜𐵝𐵞𐵟𐵠𐵡𐵢𐵣𐵤𐵥𑢠𑢡𑢢𑢣𑢤𑢥𑢦𑢧𑢨𑢩𑢪𑢫𑢬𑢭𑢮𑢯𑢰𑢱𑢲𑢳𑢴𑢵𑢶𑢷𑢸𑢹𑢺𑢻𑢼𑢽𑢾𑢿' ||
    '𖹀𖹁𖹂𖹃𖹄𖹅𖹆𖹇𖹈𖹉𖹊𖹋𖹌𖹍𖹎𖹏𖹐𖹑𖹒𖹓𖹔𖹕𖹖𖹗𖹘𖹙𖹚𖹛𖹜𖹝𖹞𖹟' ||
    '𞤀𞤁𞤂𞤃𞤄𞤅𞤆𞤇𞤈𞤉𞤊𞤋𞤌𞤍𞤎𞤏𞤐𞤑𞤒𞤓𞤔𞤕𞤖𞤗𞤘𞤙𞤚𞤛𞤜𞤝𞤞𞤟𞤠𞤡',
    'abcdefghijklmnopqrstuvwxyz 0123456789abcdefghijklmnopqrstuvwxyz' ||
    'αβγδεζηθικλμνξοπρστυφχψωабвгдежзиклмнопрстуфхцчшщъыьэюя' ||
    U&'\03B9' ||
    'æðoþoddhhiqllŋœttbɓƃƅɔƈɖɗƌǝəɛƒɠɣɩiƙlɯɲɵƣƥʀƨʃƭʈʊʋƴƶʒƹƽǥƕƿȝƞȣȥ' ||
    'jⱥȼlⱦɂbuʌɇɉɋrryyiuỻỽỿⅎↄⱡɫᵽɽⱨⱪⱬɑɱɐɒⱳⱶȿɀꜣꜥꜧꜩꜫꜭꜯꜳꜵꜷꜹꜻꜽꜿꝁꝃꝅꝇꝉꝋꝍꝏ' ||
    'ꝑꝓꝕꝗꝙꝛꝝꝟꝡꝣꝥꝧꝩꝫꝭꝯꝺꝼᵹꝿꞁꞃꞅꞇꞌɥꞑꞓꞗꞙꞛꞝꞟꞡꞣꞥꞧꞩɦɜɡɬɪʞʇʝꭓꞵꞷꞹꞻꞽꞿꟁꟃꞔʂᶎꟈꟊ' ||
    'ɤꟍꟑꟗꟙꟛƛꟶͱͳͷϳαβγδεζηθικλμνξοπρστυφχψωσϗϙϛϝϟϡϸϻͻͼͽ' ||
    'ђєѕіјљњћџабвгдежзиклмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѹѻѽѿҁҋҍҏґ' ||
    'ғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӄӆӈӊӌӎӕәӡөӷӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫ' ||
    'ԭԯвдосттъѣꙋᲊꙁꙃꙅꙇꙉꙋꙍꙏꙑꙓꙕꙗꙙꙛꙝꙟꙡꙣꙥꙧꙩꙫꙭꚁꚃꚅꚇꚉꚋꚍꚏꚑꚓꚕꚗꚙꚛ' ||
    'աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ' ||
    'ⴀⴁⴂⴃⴄⴅⴆⴇⴈⴉⴊⴋⴌⴍⴎⴏⴐⴑⴒⴓⴔⴕⴖⴗⴘⴙⴚⴛⴜⴝⴞⴟⴠⴡⴢⴣⴤⴥⴧⴭაბგდევზთიკლმნოპჟრსტუ' ||
    'ფქღყშჩცძწჭხჯჰჱჲჳჴჵჶჷჸჹჺჽჾჿ' ||
    'ϣϥϧϩϫϭϯⲁⲃⲅⲇⲉⲋⲍⲏⲑⲓⲕⲗⲙⲛⲝⲟⲡⲣⲥⲧⲩⲫⲭⲯⲱⲳⲵⲷⲹⲻⲽⲿⳁⳃⳅⳇⳉⳋⳍⳏⳑⳓⳕⳗⳙⳛⳝⳟⳡⳣⳬⳮⳳ' ||
    'ᏰᏱᏲᏳᏴᏵᎠᎡᎢᎣᎤᎥᎦᎧᎨᎩᎪᎫᎬᎭᎮᎯᎰᎱᎲᎳᎴᎵᎶᎷᎸᎹᎺᎻᎼᎽᎾᎿᏀᏁᏂᏃᏄᏅᏆᏇᏈᏉᏊᏋᏌᏍᏎᏏᏐᏑᏒᏓᏔᏕ' ||
    'ᏖᏗᏘᏙᏚᏛᏜᏝᏞᏟᏠᏡᏢᏣᏤᏥᏦᏧᏨᏩᏪᏫᏬᏭᏮᏯ' ||
    'ⰰⰱⰲⰳⰴⰵⰶⰷⰸⰹⰺⰻⰼⰽⰾⰿⱀⱁⱂⱃⱄⱅⱆⱇⱈⱉⱊⱋⱌⱍⱎⱏⱐⱑⱒⱓⱔⱕⱖⱗⱘⱙⱚⱛⱜⱝⱞⱟ' ||
    '𐐨𐐩𐐪𐐫𐐬𐐭𐐮𐐯𐐰𐐱𐐲𐐳𐐴𐐵𐐶𐐷𐐸𐐹𐐺𐐻𐐼𐐽𐐾𐐿𐑀𐑁𐑂𐑃𐑄𐑅𐑆𐑇𐑈𐑉𐑊𐑋𐑌𐑍𐑎𐑏' ||
    '𐓘𐓙𐓚𐓛𐓜𐓝𐓞𐓟𐓠𐓡𐓢𐓣𐓤𐓥𐓦𐓧𐓨𐓩𐓪𐓫𐓬𐓭𐓮𐓯𐓰𐓱𐓲𐓳𐓴𐓵𐓶𐓷𐓸𐓹𐓺𐓻' ||
    '𐖗𐖘𐖙𐖚𐖛𐖜𐖝𐖞𐖟𐖠𐖡𐖣𐖤𐖥𐖦𐖧𐖨𐖩𐖪𐖫𐖬𐖭𐖮𐖯𐖰𐖱𐖳𐖴𐖵𐖶𐖷𐖸𐖹𐖻𐖼' ||
    '𐳀𐳁𐳂𐳃𐳄𐳅𐳆𐳇𐳈𐳉𐳊𐳋𐳌𐳍𐳎𐳏𐳐𐳑𐳒𐳓𐳔𐳕𐳖𐳗𐳘𐳙𐳚𐳛𐳜𐳝𐳞𐳟𐳠𐳡𐳢𐳣𐳤𐳥𐳦𐳧𐳨𐳩𐳪𐳫𐳬𐳭𐳮𐳯𐳰𐳱𐳲' ||
    '𐵰𐵱𐵲𐵳𐵴𐵵𐵶𐵷𐵸𐵹𐵺𐵻𐵼𐵽𐵾𐵿𐶀𐶁𐶂𐶃𐶄𐶅𑣀𑣁𑣂𑣃𑣄𑣅𑣆𑣇𑣈𑣉𑣊𑣋𑣌𑣍𑣎𑣏𑣐𑣑𑣒𑣓𑣔𑣕𑣖𑣗𑣘𑣙𑣚𑣛𑣜𑣝𑣞𑣟' ||
    '𖹠𖹡𖹢𖹣𖹤𖹥𖹦𖹧𖹨𖹩𖹪𖹫𖹬𖹭𖹮𖹯𖹰𖹱𖹲𖹳𖹴𖹵𖹶𖹷𖹸𖹹𖹺𖹻𖹼𖹽𖹾𖹿' ||
    '𞤢𞤣𞤤𞤥𞤦𞤧𞤨𞤩𞤪𞤫𞤬𞤭𞤮𞤯𞤰𞤱𞤲𞤳𞤴𞤵𞤶𞤷𞤸𞤹𞤺𞤻𞤼𞤽𞤾𞤿𞥀𞥁𞥂𞥃'
), 'ß', 'ss'), 'ẞ', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), 'ð', 'd'), 'ŋ', 'ng');

-- A name without case, accents and punctuation: words of letters and digits, one space apart. NFKD takes apart
-- what Unicode composes; the letters that it keeps whole are named one by one. Apostrophes and invisible joiners
-- vanish; all other punctuation parts words. The ranges are spelled out, for they mean the same in every library.
create function public.name_fold(name text) returns text
language sql immutable parallel safe
return case
    when octet_length(name) = char_length(name) -- ASCII, as most names are: nothing to take apart
        then btrim(regexp_replace(
            lower(translate(name, '''`', '') collate "C"), U&'[\0001-/:-@[-`{-\007F]+', ' ', 'g'
        ))
    else btrim(regexp_replace(
        public.name_letters(regexp_replace(
            normalize(
                regexp_replace(name, U&'[''\0060\00AD\00B4\02B9-\02BF\02C8\200B-\200D\2018-\201B\2032\2060\FEFF\FF07]', '', 'g'),
                nfkd
            ),
            U&'[''\02B9-\02BF\0300-\0344\0346-\036F]', '', 'g'
        )),
        U&'[\0001-\002F:-@\005B-\0060\007B-\00BF\00D7\00F7\2000-\206F\20A0-\20CF\2100-\2BFF\3000-\3004\3008-\3020\30FB\FE00-\FE6F]+',
        ' ', 'g'
    ))
end;

-- Words and their places in the order given, middle, family; then every run of neighbours within one name
-- written as one word, so that "vanderberg" finds "van der Berg". At most 60 letters of each: one sign may fold to
-- eighteen, and an index entry has its limit.
create function public.name_words(
    given text, middle text, family text, out word text, out place smallint, out joined boolean
) returns setof record
language sql immutable strict parallel safe
begin atomic
    with part as (
        select n, string_to_array(public.name_fold(name), ' ') as words
        from (values (1, given), (2, middle), (3, family)) as p (n, name)
        where public.name_fold(name) <> ''
    ),
    own as (
        select part.n, part.words, i, row_number() over (order by part.n, i) as place
        from part, generate_series(1, least(cardinality(part.words), 8)) as i
    )
    select left(w.word, 60), min(w.place)::smallint, w.joined
    from (
        select own.words[own.i] as word, own.place, false as joined from own
        union all
        select array_to_string(own.words[own.i:j], ''), own.place, true
        from own, generate_series(own.i + 1, least(cardinality(own.words), own.i + 3, 8)) as j
    ) as w
    group by left(w.word, 60), w.joined;
end;

-- SymSpell's deletions (Garbe 2012), hashed with a seed that is the clinic's: two words within the distance share
-- one. Of the first seven letters, one or two are left out; words of six letters and more may be searched at two.
create function public.name_deletions(word text, distance integer, seed bigint) returns bigint[]
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

-- Each way to swap two neighbouring letters: what a plain Levenshtein distance counts as two errors.
create function public.name_swaps(word text) returns text[]
language sql immutable strict parallel safe
return coalesce((
    select array_agg(left(word, i - 1) || substr(word, i + 1, 1) || substr(word, i, 1) || substr(word, i + 2))
    from generate_series(1, length(word) - 1) as i
), '{}');

-- What a word sounds like: Metaphone knows English spelling of Latin letters, and nothing of other scripts.
create function public.name_sound(word text) returns text
language sql immutable strict parallel safe
return case when word ~ '^[a-z]+$' then public.metaphone(left(word, 100), 32) else '' end;

-- Whether a word differs by one error more than one of the swapped spellings does.
create function public.name_near_swapped(swaps text [], word text) returns boolean
language sql immutable strict parallel safe
return (select bool_or(public.levenshtein_less_equal(s, word, 1) <= 1) from unnest(swaps) as s);

-- Typing errors between a searched word and another, where a swap of neighbours is one (Damerau): one is forgiven
-- from 4 letters on, two from 8. Null: more than that.
create function public.name_errors(searched text, swaps text [], word text) returns integer
language sql immutable parallel safe
return case
    when length(searched) < 4 then null
    when word = any(swaps) or public.levenshtein_less_equal(searched, word, 1) <= 1 then 1
    when length(searched) < 8 then null
    when public.levenshtein_less_equal(searched, word, 2) <= 2 or public.name_near_swapped(swaps, word) then 2
end;

-- How near a similar word is, 7 to 8, by each of the three ways to be similar; null: it is not.
create function public.name_distance_by_errors(searched text, word text, errors integer) returns real
language sql immutable parallel safe
return case when errors is not null
    then 7.9 - 0.9 * greatest(1 - errors::real / length(searched), public.similarity(searched, word)) end;

create function public.name_distance_by_sound(searched text, word text) returns real
language sql immutable parallel safe
return 7.9 - 0.9 * greatest(
    0.5, public.similarity(searched, word),
    1 - public.levenshtein(searched, word)::real / greatest(length(searched), length(word))
);

create function public.name_distance_by_trigrams(searched text, word text) returns real
language sql immutable parallel safe
return 7.9 - 0.405 * (public.word_similarity(searched, word) + public.similarity(searched, word));

-- How near a word is to a searched one: the whole part is the tier (4 equal, 5 prefix, 6 part, 7 similar), the rest
-- how far off within it. Null: no match. Similar: few typing errors, or the same sound, or trigrams (pg_trgm) at
-- 0.45. `similar_name_words` finds by indexes what this finds by looking; a test holds them together.
create function public.name_distance(searched text, swaps text [], sound text, word text) returns real
language sql immutable parallel safe
return case
    when word = searched then 4.0
    when word ^@ searched then 5.9 - 0.9 * length(searched)::real / length(word)
    when length(searched) < 3 then null
    when strpos(word, searched) > 0 then 6.9 - 0.9 * length(searched)::real / length(word)
    else least(
        public.name_distance_by_errors(searched, word, public.name_errors(searched, swaps, word)),
        case when sound <> '' and sound = public.name_sound(word)
            then public.name_distance_by_sound(searched, word) end,
        case when public.word_similarity(searched, word) >= 0.45
            then public.name_distance_by_trigrams(searched, word) end
    )
end;
