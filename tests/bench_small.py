"""A small benchmark of the same structure as slipbench."""

from slipbench.plan import EventClass, SkillPlan

SMALL = SkillPlan(
    version="0.1",
    pixels=48,
    pixel_m=1000.0,
    classes={
        "buried": EventClass(source="buried", depth_km=(3, 7)),
        "Mogi": EventClass(source="volume", depth_km=(2, 5)),
    },
    events_per_class=8,
    nulls=12,
    validation_nulls=12,
    scenario_realisations=1,
)
