"""One person's name in other forms: nicknames, generations. Common knowledge, keyed like records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from terag_pipelines.entities.transliteration import name_key

# Groups parted by "|": a full name first, then its short forms. A short form may stand in several groups.
_ENGLISH = """
abigail abby gail|albert al bert bertie|alexander alex al sandy xander sasha
alexandra alex sandra sandy lexi sasha|alfred al alf alfie fred|amanda mandy|andrew andy drew
anthony tony|archibald archie|arthur art|barbara barb babs|benjamin ben benny|bernard bernie
catherine katherine kathryn cathy kathy kate katie kitty kat|charles charlie chuck chas
charlotte lottie charlie|christina christine chris tina chrissy|christopher chris kit topher
clifford cliff|cynthia cindy|daniel dan danny|david dave davey|deborah debra deb debbie|dennis denny
donald don donnie|dorothy dot dottie dolly|douglas doug|edward ed eddie ned ted teddy|edwin ed eddie
eleanor ellie nell nora|elizabeth liz lizzie beth betty betsy eliza libby|emily em emmy|eugene gene
evelyn evie|florence flo|frances fran francie|francis frank fran|franklin frank|frederick fred freddie
gabriel gabe|gabrielle gabby|geoffrey jeffrey geoff jeff|george georgie|gerald gerry jerry|gregory greg
harold harry hal|harriet hattie harry|helen nell|henry harry hank hal|herbert herb bert|howard howie
hugh hughie|isabella isabel bella izzy|jacob jake|jacqueline jackie|james jim jimmy jamie|janet jan
jennifer jen jenny|jeremy jerry|jessica jess jessie|john jack johnny jon|jonathan jon jonny
joseph joe joey|josephine jo josie|joshua josh|judith judy|julia julie|katrina kat|kenneth ken kenny
kimberly kim|lawrence laurence larry|leonard len lenny leo|leslie les|lillian lily lil|louis lou louie
lucille lucy|margaret maggie meg peggy peggie marge margie greta|martha marty|martin marty|matthew matt
maxwell max|megan meg|melissa mel missy|michael mike mickey mick mikey|michelle shelly|mitchell mitch
nancy nan|natalie nat|nathaniel nathan nat nate|nicholas nick nicky|nicole nicky|oliver ollie
olivia liv livvy|pamela pam|patricia pat patty tricia trish|patrick pat paddy|peter pete
philip phillip phil|priscilla cilla|rachel rach|raymond ray|rebecca becky becca|regina gina
reginald reg reggie|richard rick ricky rich dick|robert rob robbie bob bobby bert|roberta bobbie
roger rodge|ronald ron ronnie|rosemary rosie rose|russell russ rusty|samantha sam sammy|samuel sam sammy
sandra sandy|sarah sally|sharon shari|sidney sid|solomon sol|stanley stan|stephanie steph
stephen steven steve|stuart stu|susan susannah sue susie suzy|sylvia syl|terence terry
teresa theresa terry tess|theodore ted teddy theo|thomas tom tommy|timothy tim timmy|tobias toby
valerie val|veronica ronnie|victor vic|victoria vicky tori|vincent vince vinny|virginia ginny
walter walt wally|wendy wen|wilfred will wilf|william will bill billy willy liam|winifred winnie
zachary zach zack
"""
_RUSSIAN = """
александр саша шура саня алекс|александра саша шура|алексей леша алеша|алена лена|анастасия настя ася
анатолий толя|андрей андрюша|анна аня нюра|антонина тоня|артем тема|артур артик|борис боря|вадим вадик
валентин валя|валентина валя|валерий валера|валерия лера|варвара варя|василий вася|вера верочка
виктор витя|виктория вика|виталий виталик|владимир вова володя|владислав влад слава|вячеслав слава
галина галя|геннадий гена|георгий гоша жора|григорий гриша|дарья даша|дмитрий дима митя|евгений женя
евгения женя|екатерина катя|елена лена алена|елизавета лиза|зинаида зина|иван ваня|игорь гарик
илья илюша|ирина ира|кирилл кира|константин костя|ксения ксюша|лариса лара|леонид леня|лидия лида
любовь люба|людмила люда мила|максим макс|маргарита рита|марина мариша|мария маша маруся|михаил миша
надежда надя|наталья наталия наташа|никита никитос|николай коля|оксана ксюша|олег олежка|ольга оля
павел паша|петр петя|полина поля|раиса рая|роман рома|светлана света|семен сема|сергей сережа серега
софья софия соня|станислав стас слава|степан степа|тамара тома|татьяна таня|тимофей тима|федор федя
эдуард эдик|юлия юля|юрий юра|яков яша|ярослав ярик слава
"""
_KAZAKH = """
абылайхан абылай|айгерим айка гера|алдияр алдик|алихан алик|асель аселя|аскар асик|бауыржан баур баука
болатбек болат|гульнара гуля|гульмира гуля|гульжан гуля|динара дина|ерлан ерик|жанна жана|жансая жанса
кайрат кайра|мадина мадя|мурат мурик|нурлан нурик|нурсултан нурик нурс|рустам рус|сабина саби
самал самалка|тимур тима|ержан ерик|айжан айка|куаныш куан
"""
# One name in the languages of many lands.
_MANY_LANDS = """
muhammad mohammad mohammed mohamed mohamad muhammed muhamad mukhammed magomed mahomed mehmet mahmad md mhd
ahmad ahmed ahmet akhmet|hussein husain husayn hossein huseyin hussain khusein
yusuf yousef youssef yosef joseph josef giuseppe jose|ibrahim abraham ebrahim|ali aly
hassan hasan khasan|said saeed sayeed saeid|abdullah abdallah abdulla abdollah|usama osama
umar omar omer|usman osman othman uthman|yaqub yakub jacob|ismail esmail ismael
suleiman sulayman soleiman sulaiman solomon|mustafa mostafa moustafa|khaled khalid halid|kamal kemal
mahmud mahmoud mahmood|john johann johannes johan hans ivan jan jean giovanni juan yohanan ioann
george georg georges jorge giorgio georgii georgios|peter petr pierre pedro pietro petros piotr pyotr
paul pavel pablo paolo pawel pavlo|michael mikhail michel miguel michele mykhailo mihail mikael
nicholas nikolai nicolas nikolaos nicola mykola nikolay
alexander aleksandr alexandre alejandro alessandro oleksandr aleksander iskander
andrew andrei andre andreas andres andrea andriy andrii
stephen stefan etienne esteban stefano stepan stephan|james jacques jaime giacomo diego
charles karl carlos carlo karel carl|william wilhelm guillaume guillermo willem
henry heinrich henri enrique enrico hendrik|louis ludwig luis luigi lajos
francis franz francois francisco francesco ferenc
anthony antoine antonio anton antoni|joseph yosif osip iosif
catherine katarina ekaterina katharina catarina caterina kateryna
elizabeth elisabeth elizaveta isabel yelizaveta|mary maria marie mariya maryam miriam mariam
helen elena helene olena yelena|anna anne ana ann hanna|eugene evgeny yevgeny evgenii ievgen yevhen
vladimir volodymyr uladzimir|sergei serhii sergey serge|dmitry dmitri dmitrii dmytro dimitri dzmitry
alexei oleksii aleksey alexey|yuri iurii yurii jurij|igor ihor|gregory grigory hryhorii grigorii
theodore fedor fyodor feodor|matthew matthias mateo matteo matvei mathieu|mark marc marcus marco marko
luke lukas lucas luca luka|philip philippe felipe filipp
thomas tomas tommaso foma|daniel daniil danilo danylo|david davyd dawood daud
simon semyon semen simeon shimon|constantine konstantin kostiantyn
"""
# Well known given names of which none is another's spelling, however few letters part them.
_GIVEN = """
абай абзал азамат айбек айдар айдос айдын айсұлтан алмас алтай алдияр арман арсен арыстан асан асқар
асхат әділ әділет әли әлихан әлішер әсет бағдат бақыт бақтияр бауыржан бейбіт бекзат бекнұр берік болат
дамир данияр дархан дастан дәурен дәулет дидар думан еділ ерасыл ербол ерболат ерден ержан еркебұлан
еркін ерлан ермек ернар ернұр есен жандос жанат жанболат жарас жасұлан жәнібек жомарт ілияс кәрім кенес
қазбек қайрат қайсар қанат қасым қуаныш қуат мағжан мақсат марат марлен мадияр медет мейрам мерей мирас
мұрат мұхтар нартай нұрбек нұрбол нұржан нұрлан нұрсұлтан олжас оразбек өмірбек рахат рамазан ринат
руслан рустам самат санжар сағат сакен сәкен серік серікжан сұлтан талғат тамерлан тимур тілек төлеген
тұрар ұлан үсен хасен шалқар шерхан шыңғыс ыбырай ақбота ақмарал айгүл айгерім айжан айнұр айнагүл
айдана айзада айсұлу ажар алма алия әлия алтынай алуа анар арайлым асель әсем әсия бақытгүл баян балжан
ботагөз гауһар гүлжан гүлмира гүлнар гүлшат ғалия дана дариға дильназ динара еңлік жазира жанар жанна
жансая жұлдыз зарина зәуре зере зейнеп индира қамшат қарлығаш қымбат күләш ләззат лаура мадина маржан
меруерт мөлдір назгүл назым нұргүл перизат райхан роза сабина салтанат самал сандуғаш сәуле томирис
толқын тоғжан ұлбосын шолпан шынар александр алексей анатолий андрей антон артем борис вадим василий
виктор виталий владимир владислав вячеслав геннадий григорий денис дмитрий евгений иван игорь илья
кирилл константин леонид максим михаил никита николай олег павел петр роман сергей станислав степан
федор юрий ярослав алена алина алла анастасия анна валентина валерия вера виктория галина дарья евгения
екатерина елена жанна зинаида инна ирина ксения лариса любовь людмила марина мария надежда наталья нина
оксана ольга светлана софья тамара татьяна юлия яна michael michelle daniel danielle patrick patricia
paul paula robert roberta eric erica john joan jane jean mary mark marie maria martin martha karl karen
harry larry barry gary jerry terry jason mason dylan ryan bryan allen ellen alan helen james jack angela
angelo julia julian julio christian christina oscar victor victoria carl carol carla
"""
# Further well known given names; some are another's spelling (Kristen, Kristin).
_COMMON = """
adam alice alicia alison amber amy ana andrea annabelle april ashley audrey austin beatrice bella betty
beverly blake bonnie brad bradley brandon brenda brett brian bruce bryce caleb calvin cameron carmen
caroline carolyn carrie casey cassandra cecilia chad chelsea cheryl chloe claire clara claudia claude
cody colin connie connor corey courtney craig crystal curtis dale dana darla darlene darrell darren dawn
dean debbie dennis derek desmond diana diane dominic donna doris duane dwayne dwight earl edith edna elaine
ella ellis elsie emma eric erica erin ernest estelle ethan eva evan faith fernando floyd gail garrett
gavin gertrude gilbert glen glenn gloria gordon grace grant gwen hannah harvey hazel heather heidi hector
herman holly hope howard hunter ian ida irene iris isaac ivan ivy jade jared jasmine jay jenna jesse
jill joan joanna joanne jocelyn jodie joel jordan joy joyce juanita june justin kathleen kayla keith
kelly kelvin kerry kevin kirk kristen kristin kristina kurt kyle lance larissa laura lauren leah leroy
leslie lewis linda lindsay lisa lloyd logan lois lola loretta lori lorraine lucas lucia lydia lynn
mabel madison marcia marian marianne marilyn marina marion marjorie marlene marsha marshall marvin
maureen maurice max maya melanie melinda melvin mildred miles milton miranda miriam molly monica morgan
muriel naomi natasha neil nelson nina noah noel nora norma norman owen paige pauline pearl penelope
phoebe phyllis rachel ralph ramona randall randy ray regina renee rhonda riley rita rodney roland rosa
rose ross roy ruby ruth ryan sabrina sandra sara scott sean seth shane shannon shaun shawn sheila shelby
sherry shirley simone sonia sophia sophie stacy stella stewart summer sydney tamara tanya tara taylor
tiffany tina todd tony tracy travis trevor troy tyler vanessa vera vernon vivian wallace wanda warren
wayne wesley whitney yolanda yvette yvonne zoe
"""
MAX_GROUPS = 4  # of one short form; "sasha", "gulia"
GENERATION = r" (?:(?P<younger>jr|junior)|(?P<older>sr|senior))$"  # behind a name key


def _read_groups(table: str) -> Mapping[str, tuple[int, ...]]:
    groups: dict[str, set[int]] = defaultdict(set)
    lines = "|".join(table.strip().splitlines()).split("|")
    for number, line in enumerate(line for line in lines if line):
        for name in line.split():
            groups[name_key(name)].add(number)
    return MappingProxyType({name: tuple(sorted(held))[:MAX_GROUPS] for name, held in groups.items()})


NICKNAME_GROUPS = _read_groups(_ENGLISH + _RUSSIAN + _KAZAKH)
LAND_GROUPS = _read_groups(_MANY_LANDS)
GIVEN_NAMES = frozenset(name_key(name) for name in _GIVEN.split())
WELL_KNOWN_NAMES = (
    GIVEN_NAMES | frozenset(map(name_key, _COMMON.split())) | NICKNAME_GROUPS.keys() | LAND_GROUPS.keys()
)
"""What is a name as it stands. Two that share no group are two persons' names."""


def nickname_groups(names: npt.NDArray[np.object_]) -> npt.NDArray[np.int16]:
    """The groups (n_names, MAX_GROUPS) that each name key belongs to; -1 where there are no more.

    Two different names that share a group may be one person's.
    """
    return _look_up(NICKNAME_GROUPS, names)


def land_groups(names: npt.NDArray[np.object_]) -> npt.NDArray[np.int16]:
    """As `nickname_groups`, of names that are one name in the languages of many lands (John, Ivan, Juan)."""
    return _look_up(LAND_GROUPS, names)


def _look_up(groups: Mapping[str, tuple[int, ...]], names: npt.NDArray[np.object_]) -> npt.NDArray[np.int16]:
    table = np.full((len(groups) + 1, MAX_GROUPS), -1, np.int16)
    for at, held in enumerate(groups.values()):
        table[at, : len(held)] = held
    known = pa.array(groups.keys(), pa.string())
    places = pc.index_in(pa.array(names, pa.string()), value_set=known).fill_null(len(groups))
    rows = np.append(places.to_numpy(zero_copy_only=False), len(groups))
    return np.asarray(table[rows], np.int16)


def share_group(left: npt.NDArray[np.int16], right: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """Whether two aligned arrays of groups (n, MAX_GROUPS) have one in common, row by row."""
    shared = np.zeros(len(left), bool)
    for i in range(MAX_GROUPS):
        for j in range(MAX_GROUPS):
            shared |= (left[:, i] >= 0) & (left[:, i] == right[:, j])
    return shared
