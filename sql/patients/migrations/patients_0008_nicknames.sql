-- Names that stand for each other, from common knowledge: the first of each line with its short forms. Short forms
-- of one name stand for each other too (Bob, Rob); one in two lines stands for both (Bert: Albert, Herbert).
insert into public.nickname (name, other)
select distinct a.name, b.name
from unnest(array[
    'abigail abby abbie gail', 'abraham abe bram', 'adelaide addie heidi', 'agnes aggie nessie',
    'albert al bert bertie', 'alexander alex al alec lex sandy sasha xander', 'alexandra alex lexi sandra sasha',
    'alfred al alf alfie fred freddie', 'alice allie ali', 'allison ally allie', 'amanda mandy', 'amelia amy millie',
    'andrea andi drea', 'andrew andy drew', 'angela angie', 'anne ann annie nan nancy', 'anthony tony ant',
    'antonio tony toni', 'arthur art artie', 'augustus gus augie', 'barbara barb babs barbie', 'barnabas barney',
    'bartholomew bart', 'beatrice bea trixie', 'benjamin ben benny benji', 'bernard bernie barney',
    'bradley brad', 'bridget biddy bridie', 'calvin cal', 'cameron cam', 'carolyn carol caro lynn',
    'caroline carol carrie caro lina', 'cassandra cass cassie sandra', 'catherine cathy cath kate katie kitty cat',
    'cecilia cece cissy celia', 'charles charlie chuck chas', 'charlotte charlie lottie lotte', 'chester chet',
    'christian chris', 'christina chris chrissy tina', 'christine chris chrissy tina',
    'christopher chris kit topher', 'clifford cliff', 'cynthia cindy', 'daniel dan danny', 'danielle dani',
    'david dave davy', 'deborah deb debbie', 'delores lola dolly', 'dennis denny', 'donald don donnie',
    'dorothy dot dottie dolly', 'douglas doug', 'edgar ed eddie', 'edmund ed eddie ned', 'edward ed eddie ned ted teddy',
    'edwin ed eddie', 'eleanor ellie nell nellie nora', 'elizabeth liz lizzie beth betty bess betsy eliza libby lisa',
    'emily em emmy', 'emma em emmy', 'eugene gene', 'evelyn eve evie', 'ezekiel zeke', 'florence flo flossie',
    'frances fran frankie fanny', 'francis frank frankie', 'franklin frank frankie', 'frederick fred freddie fritz',
    'gabriel gabe', 'gabrielle gabby', 'george georgie', 'gerald gerry jerry', 'geraldine gerry', 'gilbert gil bert',
    'gregory greg', 'gwendolyn gwen', 'harold harry hal', 'harriet hattie', 'helen nell ellie lena',
    'henry harry hank hal', 'herbert herb bert', 'hubert bert', 'ignacio nacho', 'isaac ike', 'isabel belle izzy bella',
    'isabella belle izzy bella', 'jacob jake', 'jacqueline jackie', 'james jim jimmy jamie jem', 'janet jan',
    'jason jay', 'jeffrey jeff', 'jennifer jen jenny', 'jeremy jerry jem', 'jerome jerry', 'jessica jess jessie',
    'jesus chuy', 'joan joanie', 'joanna jo joanne', 'john jack johnny jon', 'jonathan jon jonny john', 'jose pepe',
    'joseph joe joey jo', 'josephine jo josie', 'joshua josh', 'joyce joy', 'judith judy jude', 'julia julie jules',
    'katherine kathy kath kate katie kat kay kitty', 'kathleen kathy kath kate katie', 'kenneth ken kenny',
    'kimberly kim', 'kristina kris tina', 'laurence larry laurie', 'lawrence larry lawrie', 'leonard len lenny leo',
    'leopold leo', 'lillian lil lily', 'linda lindy lynn', 'louis lou louie', 'louise lou', 'lucille lucy lu',
    'lucinda lucy cindy', 'luis lucho', 'madeline maddie', 'magdalena lena', 'manuel manny', 'marcus marc mark',
    'margaret maggie meg peggy marge margie madge greta rita daisy', 'maria mary', 'marianne mary anne',
    'martha marty mattie', 'martin marty', 'mary molly polly mamie may', 'mathilda tilly mattie', 'matthew matt',
    'maureen mo', 'maximilian max', 'maxwell max', 'megan meg', 'melissa mel missy lissa', 'michael mike mick mickey',
    'michelle shelly', 'mildred millie', 'mohammed mo mohamed muhammad mohammad', 'nancy nan', 'natalie nat',
    'natasha tasha', 'nathan nat nate', 'nathaniel nat nate', 'nicholas nick nicky', 'nicole nicky', 'norman norm',
    'oliver ollie', 'olivia liv livvy', 'oscar ozzie', 'pamela pam', 'patricia pat patty trish tricia patsy',
    'patrick pat paddy', 'peter pete', 'philip phil pip', 'priscilla cilla', 'rachel rae', 'raymond ray',
    'rebecca becky becca', 'reginald reg reggie', 'richard rick ricky dick rich richie', 'robert bob bobby rob robbie bert',
    'roberta bobbie', 'roderick rod', 'rodney rod', 'roger rog', 'ronald ron ronnie', 'rosemary rose rosie', 'russell russ',
    'salvador sal', 'samantha sam sammy', 'samuel sam sammy', 'sandra sandy', 'sarah sally sadie', 'sebastian seb',
    'shirley shirl', 'solomon sol', 'sophia sophie', 'stanley stan', 'stephanie steph stevie', 'stephen steve stevie',
    'steven steve stevie', 'stuart stu', 'susan sue susie suzy', 'susannah sue susie', 'sylvester sly', 'sylvia syl',
    'teresa terry tess tessa', 'terence terry', 'theodore ted teddy theo', 'theresa terry tess tessa', 'thomas tom tommy',
    'timothy tim timmy', 'tobias toby', 'ulysses lee', 'valerie val', 'vanessa nessa', 'veronica ronnie vera',
    'victor vic', 'victoria vicky vic tori', 'vincent vince vinnie', 'virginia ginny ginger', 'vivian viv', 'walter walt wally',
    'wilfred wilf fred', 'wilhelmina mina willa', 'william bill billy will willy liam', 'winifred winnie', 'winston win',
    'yvonne von', 'zachary zach zack'
]) as line
cross join lateral unnest(string_to_array(line, ' ')) as a (name)
cross join lateral unnest(string_to_array(line, ' ')) as b (name)
where a.name <> b.name;
