"""All mutants; scripts/mutants.py finds out which of them the tests catch."""

from __future__ import annotations

import mutant_list_bounded
import mutant_list_copies
import mutant_list_durability
import mutant_list_exchange
import mutant_list_fields
import mutant_list_groups
import mutant_list_lanes
import mutant_list_nested
import mutant_list_opening
import mutant_list_priorities
import mutant_list_reading
import mutant_list_remote
import mutant_list_salvage
import mutant_list_sampling
import mutant_list_verify
from mutant_switch import Mutant

MUTANTS: list[Mutant] = [
    *mutant_list_durability.MUTANTS,
    *mutant_list_bounded.MUTANTS,
    *mutant_list_fields.MUTANTS,
    *mutant_list_reading.MUTANTS,
    *mutant_list_salvage.MUTANTS,
    *mutant_list_sampling.MUTANTS,
    *mutant_list_priorities.MUTANTS,
    *mutant_list_lanes.MUTANTS,
    *mutant_list_groups.MUTANTS,
    *mutant_list_remote.MUTANTS,
    *mutant_list_exchange.MUTANTS,
    *mutant_list_nested.MUTANTS,
    *mutant_list_copies.MUTANTS,
    *mutant_list_opening.MUTANTS,
    *mutant_list_verify.MUTANTS,
]
