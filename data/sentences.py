"""Compose the sentences of the sample corpus: templates with slots, and phrases to put in them.

Every phrase below was written for this corpus. Phrases of one slot can replace each other in every
template that names the slot, so that each composed sentence is something a person might say.
"""

import random
import re

TEMPLATES = """
{Front}, {person} {did}. | {Front}, {person} {mishap}. | {person} {did} {tail}.
{person} had to {do} {tail}. | Could you {do} {soon}? | Would you help me {do} {soon}?
Please {do} {soon}. | Nobody asked {person} to {do}. | It took {span} to {do}.
I would rather {do} than {do}. | If {event}, we will {do}. | Shall we {do} when {event}?
Why did {person} {do}? | {person} said that {fact}. | Has anyone told {person} that {fact}?
{scene} {where}. | {scene} {where}. | {scene} {where} {dawn}. | I noticed that {fact}, and {remark}.
The {thing} {where} is {state}. | The {thing} {where} used to be {state}.
Why is the {thing} so {state}? | Is the {thing} {where} still {state}?
For {meal} we had {food} with {food}. | Would you like {food} or {food}?
{person} never eats {food}, only {food}. | We served {food} and {food} for {meal}.
Turn {turn} at the {landmark}, and go {pace} to the {landmark}.
How far is the {landmark} from the {landmark}? | We met {person} near the {landmark} {dawn}.
{Hobby} is {judged} than {hobby}. | I think {hobby} is {judged} than {hobby}.
{person} prefers {hobby} to {hobby}. | Have you ever thought about {hobby}?
The {ride} to the {landmark} leaves at {clock}. | Did the {ride} arrive before {clock}?
We missed the {ride} at {clock}, but {remark}. | Be careful, {fact}. | Yes, {fact}, but {remark}.
The {gadget} makes {noise} whenever {event}. | My {gadget} made {noise}, and {remark}.
What is {noise} doing in the {gadget}? | No, thank you, {remark}. | {person} {mishap}, but {remark}.
"""

# A verb that changes in the past tense is written base>past.
PHRASES = {
    "person": """
my sister; the baker; our neighbor; Doctor Hughes; the young farmer; my grandfather; Judith;
a quiet student; the plumber; Aunt Zoe; the bus driver; Mister Chang; the night nurse; George;
your cousin; the violin teacher; a tall sailor; the museum guide; the chess champion; Olivia;
the little boy; our mechanic; the village judge; a friendly tourist; the choir leader; Theodore;
my roommate; the fisherman; the dentist; that photographer; a retired pilot; the goalkeeper;
our manager; the beekeeper; a curious child; my uncle; the carpenter; the waiter; Rachel;
the librarian; a visiting professor; the youngest engineer; your brother; Captain Shaw; Beth""",
    "do": """
mend>mended the wooden gate; paint>painted the hallway pale yellow; borrow>borrowed a heavy ladder;
bake>baked six loaves of bread; print>printed two hundred posters; sell>sold the rusty bicycle;
measure>measured the broken window; write>wrote a cheerful letter; water>watered the tomato plants;
count>counted the empty bottles; wash>washed the muddy boots; open>opened a small bakery;
catch>caught an enormous trout; grind>ground the pepper; buy>bought a crate of lemons;
carry>carried the luggage upstairs; sketch>sketched the tall lighthouse;
answer>answered every question; polish>polished the brass bell; learn>learned a new song;
pack>packed the picnic basket; plant>planted three cherry trees; repair>repaired the kitchen faucet;
chase>chased a clumsy puppy; photograph>photographed the eclipse; climb>climbed the tower stairs;
fold>folded the clean towels; tell>told a funny story; shake>shook the dusty carpet;
tune>tuned the old piano; visit>visited the science exhibition; wrap>wrapped the birthday present;
join>joined the rowing club; sharpen>sharpened both pencils; stitch>stitched the torn jacket;
build>built a stone wall; boil>boiled a dozen eggs; feed>fed the hungry geese;
hide>hid the treasure map; lock>locked the office door; peel>peeled a pile of potatoes;
solve>solved the crossword puzzle; sweep>swept the front porch; teach>taught the parrot to whistle;
wear>wore a purple scarf; cook>cooked a pot of noodles; draw>drew a chart of the island;
brew>brewed some strong coffee; choose>chose a thicker blanket; hang>hung the mirror higher;
throw>threw away the cracked vase; dig>dug a deeper ditch; record>recorded the choir;
weigh>weighed the parcel twice; check>checked the oxygen gauge; clean>cleaned the fish tank;
divide>divided the cake equally; examine>examined the ancient pottery;
freeze>froze the leftover soup; guess>guessed the password; invite>invited the whole orchestra;
juggle>juggled four oranges; light>lit the bathroom candles; mix>mixed the blue and beige paint;
plan>planned a surprise party; rescue>rescued the injured owl; shovel>shoveled the snowy path;
translate>translated the whole speech; untie>untied the canoe""",
    "mishap": """
lost the garage key; forgot the blue umbrella; dropped a jar of honey; quoted the wrong figure;
broke the window again; slipped on a banana peel; burned the onions; missed the first lecture;
spilled orange juice on the sofa; tripped over the threshold; swallowed a cherry stone; overslept;
locked the cat in the cellar; scratched the new camera; drove through a red light; caught a cold;
put salt in the sugar bowl; went to the wrong address; bruised an elbow; mistook me for a thief""",
    "front": """
last Thursday; yesterday evening; on Monday morning; two weeks ago; shortly after lunch; in January;
during the holidays; on the way home; right before sunset; around midnight; a year ago;
once the guests had gone; after a long pause; late last autumn; without any warning""",
    "tail": """
just for fun; without making a sound; while everyone slept; before the guests arrived;
even though it was late; because nobody else would; in spite of the weather; again and again;
with great pleasure; as usual; for the third time; in less than an hour; with only one hand;
to please the children; while we were talking; for a very small fee; before the shop closed;
all alone, or so we heard; to save a little money; after losing a bet; out of pure habit;
with surprising patience; under close supervision; for a charity event; in complete darkness""",
    "soon": """
before noon; after supper; this weekend; by Friday; tomorrow afternoon; as soon as possible;
within the next hour; while I make tea; before anybody wakes up; on Wednesday; without delay;
sometime in August; after the meeting; if you have time; before the bank closes""",
    "span": """
nearly an hour; most of the morning; eleven days; half a lifetime; about twenty minutes;
two people and a rope; longer than expected; the whole team; a huge effort; enough courage""",
    "event": """
the rain stops; the shop is closed; the power fails; the tide turns; the phone rings;
the wind picks up; someone opens the fridge; the baby falls asleep; a truck goes by;
the heating comes on; the moon is full; the traffic slows down; the sun goes behind a cloud;
the radio is playing; everybody agrees; the temperature drops; the concert begins""",
    "fact": """
the engine sounded strange; the soup needs more garlic; the bridge is closed for repairs;
the floor is slippery; the password has changed; the elevator was stuck again;
the judges were divided; the cheese smelled awful; these shoes are too tight;
the ceiling leaks in three corners; the museum opens at ten; our cousins moved to Japan;
the dog can open drawers; the bill was never paid; the train may be delayed;
the roof of the barn collapsed; the new zoo has giraffes; both twins play the flute;
the garage sells used tires; the oven is extremely hot; the vaccine requires two doses;
the youth hostel was crowded; the glue has not dried yet; the coach resigned in March;
our flight was canceled; the river froze in December; the elections were postponed;
the jury needed another week; the tickets cost fifty dollars; the thief left a footprint""",
    "remark": """
nobody seemed to mind; I was too tired to argue; we laughed about it later; it hardly matters now;
that is not my job; the view was worth it; I have had enough; you should have called us first;
there is no reason to worry; we can always try again; it was cheaper than I feared;
my mother will be furious; they kept the receipt; everything turned out fine;
I still owe you a favor; the audience loved it; we were only joking; luck was on our side;
another one comes along soon; I could not hear a thing; it gave us something to discuss""",
    "scene": """
a thick fog drifted; two white swans glided; thunder rumbled; gray smoke curled; dry leaves swirled;
a hawk was circling; warm sunlight poured; a narrow footpath led; wild horses galloped;
tiny frogs croaked; church bells echoed; a rusty barge floated; fresh snow lay;
a row of pine trees stood; fireflies flickered; a lonely donkey brayed; soft jazz was playing;
children were skating; three kites soared; a gentle breeze blew; the caravan vanished;
an owl hooted; purple thistles grew; hot steam hissed; a choir sang""",
    "where": """
across the valley; above the orchard; along the canal; beyond the hills; behind the warehouse;
near the frozen lake; beside the fountain; outside the cathedral; not far from the village square;
near the vineyard; under the stone arch; close to the border; opposite the theater;
between the greenhouses; in front of the courthouse; at the edge of the desert;
by the swimming pool; next to the pharmacy; beneath the cliffs; inside the courtyard""",
    "dawn": """
at dawn; all night long; on that Sunday; for hours; just after dusk; in the early spring;
in the middle of July; most of the summer; on a foggy day; the other day; in November""",
    "thing": """
bench; wooden staircase; swing; marble statue; playground; vegetable garden; iron railing;
billboard; parking lot; bamboo hedge; flower shop; rope bridge; old mill; telephone booth;
tennis court; brick chimney; rose bush; tool shed; public library; watchtower; sandy trail""",
    "state": """
beautiful; dangerous; peculiar; popular; neglected; familiar; unusual; gloomy; dirty; ugly; shabby;
hard to find; easy to miss; fascinating; modest; colorful; awkward to reach; charming; fragile""",
    "meal": """
breakfast; lunch; dinner; dessert; a late supper; the wedding feast; Sunday brunch""",
    "food": """
roasted carrots; spinach pie; garlic bread; pickled ginger; grilled salmon; goat cheese; plum jam;
vanilla pudding; fried mushrooms; pumpkin soup; smoked sausage; peach yogurt; black olives;
sweet corn; hazelnut ice cream; buttered toast; lentil curry; chocolate cookies; raspberry juice;
chicken broth; blueberry muffins; stuffed peppers; cold cucumber salad; fish tacos; wild rice;
apricot tea; crunchy celery; barley stew; poached pears; thin pancakes""",
    "turn": "left; right; sharply left; right again; back; left, not right,",
    "pace": """
two blocks; straight ahead; uphill; a quarter of a mile; past the bakery; through the tunnel;
forty yards; across the bridge""",
    "landmark": """
post office; train station; golf course; fire house; castle gate; bowling alley; harbor; hospital;
furniture store; boathouse; city hall; art gallery; gas station; airport; botanical garden; stadium;
chapel; beach; university; shoe factory; monument; youth center; ferry dock; observatory""",
    "hobby": """
learning Spanish; riding a camel; collecting stamps; growing orchids; fixing clocks;
playing the cello; catching butterflies; diving for pearls; writing poetry; building model ships;
watching television; carving wood; sailing around the world; dancing the tango; studying algebra;
raising chickens; knitting gloves; flying a glider; cooking for two; hiking in the mountains;
reading mysteries; painting with watercolors; throwing a boomerang; exploring caves""",
    "judged": """
easier; much harder; more rewarding; less exciting; far cheaper; a little safer; more relaxing;
healthier; no more useful; funnier; noisier; more of an adventure; slower""",
    "ride": """
ferry; night bus; express train; shuttle; steamboat; last tram; yellow school bus; cable car;
airport taxi; tour coach""",
    "clock": """
half past seven; a quarter to nine; six thirty; noon; five after eight; ten twenty; twelve fifteen;
exactly four; midnight; three forty; eleven""",
    "gadget": """
vacuum cleaner; coffee grinder; washing machine; printer; air conditioner; electric fan; dryer;
sewing machine; laptop; dishwasher; toaster; alarm clock; old furnace; lawn mower; headset""",
    "noise": """
a buzzing noise; a soft click; that awful screech; a deep hum; a rattling sound; a faint beep;
a high whistle; a loud pop; that gurgling noise; a dull thud; a sharp crackle; an odd chirp""",
}
SLOT = re.compile(r"\{(\w+)\}")


class Deck:
    """Deals its cards in random order and reshuffles when all are dealt, so that none is rare."""

    def __init__(self, cards: list[str], rng: random.Random):
        self.cards, self.rng, self.left, self.last = cards, rng, [], None

    def deal(self) -> str:
        """Return the next card."""
        if not self.left:
            self.left = self.rng.sample(self.cards, len(self.cards))
            if self.left[-1] == self.last:  # never the same card twice running
                self.left.reverse()
        self.last = self.left.pop()
        return self.last


def _split(text: str, separators: str) -> list[str]:
    """Return the stripped, non-empty pieces of a text."""
    return [piece for part in re.split(separators, text) if (piece := " ".join(part.split()))]


def _fill(template: str, decks: dict[str, Deck]) -> str:
    """Put a phrase into every slot: {do} takes the base form of a verb, {did} its past."""

    def phrase(match: re.Match) -> str:
        slot = match[1].lower()
        text = decks["do" if slot == "did" else slot].deal()
        if ">" in text:
            base, past, rest = re.fullmatch(r"(\w+)>(\w+) (.*)", text).groups()
            text = f"{past if slot == 'did' else base} {rest}"
        return text

    sentence = SLOT.sub(phrase, template)
    return sentence[0].upper() + sentence[1:]


def distinct_words(sentences: list[str]) -> set[str]:
    """Return the set of lower-case words of the sentences."""
    return {word for text in sentences for word in re.findall(r"[a-z']+", text.lower())}


def compose_sentences(count: int, seed: int, min_chars: int, max_chars: int) -> list[str]:
    """Return `count` different sentences of min_chars to max_chars characters.

    The same arguments always give the same list: `random.Random` is fixed by its integer seed.
    """
    rng = random.Random(seed)
    decks = {slot: Deck(_split(text, ";"), rng) for slot, text in PHRASES.items()}
    templates = Deck(_split(TEMPLATES, r"[|\n]"), rng)
    sentences: dict[str, None] = {}
    while len(sentences) < count:
        sentence = _fill(templates.deal(), decks)
        if min_chars <= len(sentence) <= max_chars:
            sentences[sentence] = None
    return list(sentences)


def corpus_sentences() -> list[str]:
    """The sentences of sample_corpus: 176 of 62 to 96 characters, with at least 600 words."""
    sentences = compose_sentences(count=176, seed=1, min_chars=62, max_chars=96)
    assert len(distinct_words(sentences)) >= 600, "a corpus of speech needs varied words"
    return sentences
