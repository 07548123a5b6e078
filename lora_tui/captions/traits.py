"""What kind of thing a tag says: hair, eyes, clothing, expression, view, background … A small table of words.

A tag is judged by its whole first, then by a first word such as ``holding``, then by its last word, which in English
names the thing: ``hair ribbon`` is an accessory.
"""

from __future__ import annotations

import re

from lora_tui.captions.vocabulary import folded
from lora_tui.text import N_

GROUPS: dict[str, str] = {
    "subject": N_("who is there"),
    "hair": N_("hair"),
    "eyes": N_("eyes"),
    "skin": N_("skin"),
    "body": N_("body"),
    "clothing": N_("clothing"),
    "accessories": N_("accessories"),
    "expression": N_("expression"),
    "pose": N_("pose and action"),
    "view": N_("view and framing"),
    "closeup": N_("close-ups"),
    "background": N_("background and place"),
    "light": N_("light and colour"),
    "blur": N_("blur and depth"),
    "style": N_("style and medium"),
    "quality": N_("quality and signatures"),
    "other": N_("other"),
}
"""Name of each group and what it is for a person."""

_WHOLE: dict[str, str] = {
    "expression": """closed eyes, half-closed eyes, one eye closed, narrowed eyes, rolling eyes, open mouth,
        closed mouth, parted lips, clenched teeth, tongue out, raised eyebrows, light smile, nose blush,
        wide-eyed, empty eyes, crossed eyes, puffed cheeks, wavy mouth""",
    "pose": """looking at viewer, looking back, looking away, looking to the side, looking up, looking down, arms up,
        arm up, hands up, hand up, own hands together, crossed arms, crossed legs, spread legs, hand on hip,
        hand on own hip, head tilt, arms behind back, on back, on side, on stomach, all fours, v, peace sign, leg up""",
    "view": """from behind, from above, from below, from side, from front, full body, upper body, lower body,
        cowboy shot, profile, multiple views, out of frame, pov, wide shot, three-quarter view, back view, side view""",
    "closeup": "close-up, closeup, portrait, face focus, eye focus, head shot, headshot, face, macro, extreme close-up",
    "background": "indoors, outdoors, scenery, no humans, day, night, sunset, sunrise, bed sheet, still life",
    "blur": "depth of field, bokeh, motion blur, out of focus, film grain, chromatic aberration, tilt shift",
    "style": """greyscale, grayscale, monochrome, lineart, line art, traditional media, pixel art, 3d, chibi, comic,
        realistic, photorealistic, oil painting, flat color, cel shading""",
    "light": "backlighting, back light, lens flare, light rays, god rays, high contrast, low key, warm colors",
    "quality": "highres, absurdres, lowres, artist name, web address, commentary, dated, bad anatomy",
    "body": "flat chest, animal ears, pointy ears, facial mark, facial hair, beauty mark, mole under eye",
    "skin": "tan, tanned, pale, freckles, tanlines",
    "subject": "solo, 1other, everyone, couple, crowd, no humans, male focus, female focus",
    "hair": "bald, bangs, blunt bangs, ahoge, twintails, ponytail, braid, side braid, hair between eyes, sidelocks",
    "accessories": "hair ornament, hair bow, hair ribbon, hair flower, eyepatch, eyewear on head",
    "clothing": "off shoulder, bare shoulders, sleeveless, barefoot, strapless, no shoes, navel cutout",
}

_LAST: dict[str, str] = {
    "hair": """hair hairstyle bangs ponytail ponytails twintails braid braids bun buns ahoge sidelocks hairline fringe
        curls dreadlocks afro bob mohawk drills updo pigtails forelock""",
    "eyes": "eyes eye pupils pupil eyelashes sclera iris irises heterochromia eyeshadow",
    "skin": "skin freckles tan scar scars mole moles tattoo tattoos stripes",
    "body": """breasts chest muscles abs ears ear tail tails horns horn wings wing halo fangs fang teeth fur claws paws
        hooves antlers fins scales beard mustache eyebrows lips navel thighs hips waist legs feet hands fingers
        fingernails nails nose body build height shoulders collarbone cleavage armpits snout whiskers feathers""",
    "clothing": """shirt blouse dress skirt pants trousers jeans shorts coat jacket hoodie sweater cardigan vest uniform
        suit tuxedo kimono yukata robe cloak cape armor armour swimsuit bikini leotard bodysuit underwear bra panties
        socks thighhighs stockings pantyhose tights leggings kneehighs shoes boots sandals slippers sneakers heels
        footwear sleeves collar apron serafuku gown costume outfit clothes clothing pajamas bloomers overalls corset
        sarashi cutoffs loafers t-shirt poncho raincoat sportswear lingerie hood pocket pockets buttons zipper""",
    "accessories": """ribbon bow hairband headband hairclip hairpin ornament scrunchie hat cap beret helmet crown tiara
        glasses sunglasses goggles eyewear mask earrings earring necklace choker bracelet ring rings jewelry gloves
        glove mittens scarf necktie tie bowtie belt bag backpack handbag watch wristband headphones headset veil
        brooch badge piercing pendant anklet armband armlet bandana umbrella sash suspenders headwear headdress
        beanie chain""",
    "expression": """smile grin smirk frown pout blush tears crying sad happy angry surprised laughing scowl serious
        expressionless expression embarrassed nervous sleepy shy sweat sweatdrop wink glare yawn screaming worried
        annoyed scared excited bored disgust drooling :) :d :o :3 ;) :p ;d xd >_< ^_^ =_= @_@ o_o ;_;""",
    "pose": """sitting standing walking running jumping lying kneeling squatting crouching leaning sleeping holding
        pointing waving hugging dancing fighting eating drinking reading stretching bending salute seiza floating flying
        pose waving reaching grabbing carrying cooking playing singing swimming bowing stance straddling riding""",
    "view": "view shot angle perspective focus frame framing foreshortening",
    "closeup": "close-up closeup portrait headshot",
    "background": """background backgrounds sky cloud clouds tree trees forest grass flower flowers field mountain
        mountains ocean sea beach water river lake rain snow city cityscape street building buildings house room bedroom
        kitchen classroom office wall floor window door curtain curtains bed chair table sofa couch desk stairs garden
        park road bridge petals leaves leaf star stars moon sun castle temple shrine church train car ruins desert
        cave stage fence bench lamp carpet bookshelf horizon rock rocks sand poolside pool bathroom library cafe""",
    "light": "light lights lighting sunlight moonlight shadow shadows shade glow glowing contrast neon silhouette",
    "blur": "blur blurry bokeh field grain",
    "style": "style sketch painting drawing watercolor anime manga illustration photo photograph render lineart art",
    "quality": "quality signature watermark username logo text artifacts resolution censored rating score",
    "subject": """girl girls boy boys man men woman women child children person people cat dog animal bird horse
        female male robot creature dragon monster character""",
}

_FIRST: dict[str, str] = {"pose": "looking holding", "view": "from facing", "blur": "blurry"}

_BESIDE = re.compile(r" (?:on|in|over|under|around|between|behind) ")
_COUNTED = re.compile(r"(?:multiple|\d+\+?)\s*(?:girls?|boys?|others?|people|men|women)")


def _table(source: dict[str, str], separator: str | None) -> dict[str, str]:
    return {" ".join(word.split()): group for group, words in source.items() for word in words.split(separator) if word}


_WHOLES, _LASTS, _FIRSTS = _table(_WHOLE, ","), _table(_LAST, None), _table(_FIRST, None)


def trait(tag: str) -> str:
    """The group of :data:`GROUPS` that a tag belongs to; ``other`` when the words say nothing."""
    key = folded(tag)
    if key in _WHOLES:
        return _WHOLES[key]
    if _COUNTED.fullmatch(key):
        return "subject"
    words = re.sub(r"\s*\([^()]*\)$", "", key).split()
    if not words:
        return _LASTS.get(key, "other")
    if len(words) > 1 and (first := _FIRSTS.get(words[0])):
        return first
    thing = _BESIDE.split(" ".join(words))[0].split()[-1]  # the hat of "hat on head", the sitting of "sitting on bed"
    return _LASTS.get(thing) or _LASTS.get(words[-1], "other")
