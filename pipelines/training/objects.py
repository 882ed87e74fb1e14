"""The objects that the tiny models can draw.

A line reads: label in emojibase | names, the usual one first | its own colour | `tint` if it takes others.
The colour is one that people would say ("a red apple"); a tinted object is also drawn in every other colour.
"""

from dataclasses import dataclass

TABLE = """
red apple | apple | red | tint
banana | banana | yellow
strawberry | strawberry | red
lemon | lemon | yellow
tangerine | orange, tangerine
watermelon | watermelon
grapes | grapes, bunch of grapes | purple
cherries | cherries, cherry | red
pineapple | pineapple
pear | pear | green
carrot | carrot | orange
tomato | tomato | red
mushroom | mushroom, toadstool
pizza | pizza, slice of pizza
hamburger | hamburger, burger, cheeseburger
french fries | french fries, fries
hot dog | hot dog, hotdog
doughnut | donut, doughnut
birthday cake | birthday cake, cake
soft ice cream | ice cream, ice cream cone
cheese wedge | cheese, piece of cheese | yellow
hot beverage | cup of coffee, coffee, coffee cup
lollipop | lollipop
cat face | cat, kitten, cat face
dog face | dog, puppy, dog face
panda | panda, panda bear
lion | lion
tiger face | tiger
elephant | elephant | gray
penguin | penguin
octopus | octopus
butterfly | butterfly | | tint
fox | fox | orange
frog | frog | green
koala | koala, koala bear | gray
monkey face | monkey, chimpanzee
pig face | pig, piglet | pink
cow face | cow
rabbit face | rabbit, bunny
bear | bear, brown bear
unicorn | unicorn
baby chick | chick, baby chick | yellow
owl | owl
turtle | turtle, tortoise | green
snake | snake | green
fish | fish | blue | tint
spouting whale | whale | blue
dolphin | dolphin | blue
crab | crab | red
snail | snail
lady beetle | ladybug, ladybird | red
honeybee | bee, honeybee
spider | spider | black
sauropod | dinosaur, sauropod | green
giraffe | giraffe
flamingo | flamingo | pink
sunflower | sunflower
rose | rose | red | tint
tulip | tulip | pink | tint
cactus | cactus | green
palm tree | palm tree, palm
evergreen tree | christmas tree, fir tree, pine tree
deciduous tree | tree
automobile | car, automobile | red | tint
bus | bus | orange
bicycle | bicycle, bike
locomotive | steam locomotive, train, locomotive
airplane | airplane, plane, aeroplane
rocket | rocket, spaceship, space rocket
sailboat | sailboat, boat, sailing boat
helicopter | helicopter
flying saucer | flying saucer, ufo
castle | castle
house | house, home
crown | crown, golden crown
key | key, golden key | yellow
guitar | guitar, electric guitar | red | tint
umbrella | umbrella | purple | tint
balloon | balloon | red | tint
wrapped gift | gift, present, gift box
light bulb | light bulb, lightbulb
camera | camera
alarm clock | alarm clock, clock | red
closed book | book, closed book | red | tint
pencil | pencil
scissors | scissors, pair of scissors
bell | bell, golden bell | yellow
trophy | trophy, golden cup
soccer ball | soccer ball, football
basketball | basketball | orange
drum | drum
trumpet | trumpet
violin | violin, fiddle | brown
telephone | telephone, phone | red | tint
laptop | laptop, computer
teddy bear | teddy bear, teddy | brown
candle | candle
sun | sun
crescent moon | moon, crescent moon
star | star | yellow | tint
rainbow | rainbow
cloud | cloud
snowman | snowman
fire | fire, flame
red heart | heart, love heart | red | tint
gem stone | diamond, gem | blue | tint
jack-o-lantern | pumpkin, jack-o-lantern | orange
ghost | ghost
robot | robot
alien | alien | green
skull | skull
grinning face | smiley, smiling face | yellow
top hat | top hat, hat | black
high-heeled shoe | high-heeled shoe, shoe | red | tint
glasses | glasses, pair of glasses
backpack | backpack, rucksack | pink | tint
anchor | anchor
globe showing Americas | planet earth, globe, earth
t-shirt | t-shirt, shirt | green | tint
dress | dress | blue | tint
"""


@dataclass(frozen=True)
class DrawnObject:
    """One thing that the models can draw."""

    label: str
    names: tuple[str, ...]
    colour: str | None
    tintable: bool


def _parse(line: str) -> DrawnObject:
    cells = [cell.strip() for cell in line.split("|")] + ["", ""]
    names = tuple(name.strip() for name in cells[1].split(","))
    return DrawnObject(cells[0], names, cells[2] or None, cells[3] == "tint")


OBJECTS = tuple(_parse(line) for line in TABLE.strip().splitlines())
