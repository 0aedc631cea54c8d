"""Bugs in prioritised sampling: in its tree, and in the sampler that draws from it."""

from __future__ import annotations

from mutant_switch import Change, Mutant, change

NAMED = "store_priority_test:PriorityTreeTest.*"


SAMPLER = "store_priority_test:SamplerPrioritiesTest.*"


def bug(name: str, *changes: Change, first: str = NAMED) -> Mutant:
    return Mutant(name, changes, (first,), "priorities")


def sampler_bug(name: str, *changes: Change) -> Mutant:
    return bug(name, *changes, first=SAMPLER)


_TREE = "src/store/priority_tree.cc"
_LEVELS = "src/store/tree_levels.cc"
_PAGES = "src/store/paged_slots.cc"
_STARTS = "src/store/start_priorities.cc"
_DRAWS = "src/store/sampler_priorities.cc"

MUTANTS = [
    # Search within a node.
    bug(
        "a target at the end of a leaf finds that leaf",
        change(_LEVELS, "sum <= target", "sum < target"),
    ),
    bug(
        "a target keeps the sum of the slots before it",
        change(_LEVELS, "target -= before;", ";"),
    ),
    bug(
        "rounding can find a leaf of weight 0",
        change(_LEVELS, "node[slot] <= 0", "false"),
    ),
    bug(
        "a target beyond the end of a node finds its last slot, even if that is 0",
        change(_LEVELS, "last > 0 && node[last] <= 0", "last > 0 && node[last] < 0"),
    ),
    bug(
        "slots of the root count from 0",
        change(_LEVELS, "root_first_", "std::uint64_t{0}", within="= root_first_ + PickSlot"),
    ),
    # Sums.
    bug(
        "sums are float32",
        change(
            _LEVELS,
            "SumOf(below.sums.Node(slot))",
            "static_cast<double>(static_cast<float>(SumOf(below.sums.Node(slot))))",
        ),
    ),
    bug(
        "a node whose place in the table is taken is not computed",
        change(_LEVELS, "known != key", "known == 0"),
    ),
    bug(
        "a node is taken for one of another level",
        change(_LEVELS, "(node << kLevelBits) + level + 1", "node + 1 + 0 * level"),
    ),
    bug(
        "the first weight of a repeated leaf counts",
        change(
            _LEVELS,
            "levels_[0].sums.Slot(leaves[i]) = weights[i];",
            "levels_[0].sums.Slot(leaves[leaves.size() - 1 - i]) = weights[leaves.size() - 1 - i];",
        ),
    ),
    bug(
        "a batch of more than a block is set in part",
        change(
            _LEVELS,
            "begin < leaves.size()",
            "begin < std::min(kBlock, leaves.size())",
            within="begin < leaves.size(); begin += kBlock",
        ),
    ),
    # Growth and drops.
    bug(
        "the first of the leaves that are added weighs nothing",
        change(_LEVELS, "old_size", "old_size + 1", within="Fill({old_size, size_}"),
    ),
    bug(
        "a level that is added lacks the leaves that there were",
        change(
            _LEVELS,
            "is_old ? old_size >> (kBits * level) : slots.begin",
            "old_size >> (kBits * level)",
        ),
    ),
    bug(
        "the root stays where it was",
        change(_LEVELS, "root_first_ = slots.begin;", ";"),
    ),
    bug(
        "sums above the first leaf include dropped leaves",
        change(_LEVELS, "Refresh(number, kept.begin);", ";"),
    ),
    bug(
        "sums above the last leaf include removed leaves",
        change(_LEVELS, "Refresh(number, kept.end - 1);", ";"),
    ),
    bug(
        "dropped leaves of a page that stays keep their weights",
        change(
            _PAGES,
            "Fill({std::max(old.begin, first_page << kPageBits), kept.begin}, 0);",
            ";",
        ),
    ),
    bug(
        "removed leaves of a page that stays keep their weights",
        change(_PAGES, "Fill({kept.end, std::min(old.end, end_page << kPageBits)}, 0);", ";"),
    ),
    bug(
        "pages of dropped leaves are kept",
        change(
            _PAGES,
            "kept.begin >> kPageBits",
            "first_page_",
            within="first_page = kept.begin >> kPageBits",
        ),
    ),
    bug(
        "pages of removed leaves are kept",
        change(
            _PAGES,
            "pages_.erase(pages_.begin() + static_cast<std::ptrdiff_t>(end_page - first_page_), "
            "pages_.end());",
            ";",
        ),
    ),
    # Extremes.
    bug(
        "the smallest weight may be 0",
        change(_LEVELS, "node[i] > 0 ? node[i] : kNone", "node[i]"),
    ),
    bug(
        "the smallest weight of empty nodes is 0",
        change(_LEVELS, "found > 0 ? found : kNone", "found"),
    ),
    bug(
        "an empty tree has a node",
        change(
            _LEVELS,
            "height() == 0 ? 0 : SlotsAt(1, first_, size_).end",
            "(size_ + kSlots - 1) >> kBits",
        ),
    ),
    bug(
        "the smallest weight is the smallest sum of a node",
        change(
            _LEVELS,
            "of_leaves ? below.sums : below.minima",
            "below.sums",
        ),
    ),
    bug(
        "the largest weight is the largest sum of a node",
        change(
            _LEVELS,
            "of_leaves ? below.sums : below.maxima",
            "below.sums",
        ),
    ),
    bug(
        "the smallest weight of a dropped page stays",
        change(_LEVELS, "level.minima.Restrict(old, kept);", ";"),
    ),
    # Arguments.
    bug(
        "a weight may be negative",
        change(
            _TREE,
            "weight >= 0 && weight <= PriorityTree::kMaxWeight",
            "weight <= PriorityTree::kMaxWeight",
        ),
    ),
    bug(
        "a weight may be infinite",
        change(_TREE, "weight >= 0 && weight <= PriorityTree::kMaxWeight", "weight >= 0"),
    ),
    bug(
        "a weight may be NaN",
        change(
            _TREE,
            "weight >= 0 && weight <= PriorityTree::kMaxWeight",
            "!(weight < 0 || weight > PriorityTree::kMaxWeight)",
        ),
    ),
    bug(
        "the leaf after the last can be set",
        change(
            _TREE,
            "leaves[i] >= size() || leaves[i] < first_leaf()",
            "leaves[i] > size() || leaves[i] < first_leaf()",
        ),
    ),
    bug(
        "dropped leaves can be set",
        change(_TREE, "leaves[i] >= size() || leaves[i] < first_leaf()", "leaves[i] >= size()"),
    ),
    bug(
        "the first leaf that was not dropped weighs nothing",
        change(
            _TREE,
            "leaves[i] < first_leaf()",
            "leaves[i] <= first_leaf()",
            within="leaves[i] < first_leaf() ? 0",
        ),
    ),
    bug(
        "the total is a target",
        change(_TREE, "targets[i] < sum", "targets[i] <= sum"),
    ),
    bug(
        "all blocks of targets are the first",
        change(_TREE, "&targets[begin]", "targets.data()"),
    ),
    bug(
        "leaves that were dropped before are dropped again",
        change(_TREE, "leaf > first_leaf()", "leaf != first_leaf()"),
    ),
    bug(
        "a tree can be made shorter than what was dropped",
        change(_TREE, "size < first_leaf()", "false"),
    ),
    # Draws.
    bug(
        "seeds and batches draw the same leaves",
        change(
            _TREE,
            "internal::MixKeys(options.seed, options.batch)",
            "options.seed + options.batch",
        ),
    ),
    bug(
        "a batch repeats the random numbers of its first block",
        change(
            _TREE,
            "RandomFraction(key, place)",
            "RandomFraction(key, i)",
        ),
    ),
    bug(
        "parts of [0, total) begin again with each block",
        change(_TREE, "static_cast<double>(place)", "static_cast<double>(i)"),
    ),
    bug(
        "all ranks draw the places of rank 0",
        change(
            _TREE,
            "(begin + i) * options.world_size + options.rank",
            "(begin + i) * options.world_size",
        ),
    ),
    bug(
        "each rank draws from parts that stand side by side",
        change(
            _TREE,
            "(begin + i) * options.world_size + options.rank",
            "(begin + i) + options.rank * leaves.size()",
        ),
    ),
    bug(
        "each rank cuts the range into the parts of one rank",
        change(_TREE, "leaves.size() * options.world_size", "leaves.size()"),
    ),
    bug(
        "a rank may be as large as the number of ranks",
        change(_TREE, "options.rank >= options.world_size", "options.rank > options.world_size"),
    ),
    bug(
        "leaves are drawn where all weights are 0",
        change(_TREE, "!(sum > 0)", "false"),
    ),
    # Priorities of a sampler's starts.
    sampler_bug(
        "alpha is applied twice",
        change(_STARTS, "std::pow(sum, alpha_)", "std::pow(sum, alpha_ * alpha_)"),
    ),
    sampler_bug(
        "eps is added to priorities of 0",
        change(_STARTS, "priority <= 0", "priority < 0", within="if (priority <= 0) {"),
    ),
    sampler_bug(
        "priorities are lost where all rows are looked at again",
        change(_STARTS, "priority < 0", "true", within="priority < 0 && initial"),
    ),
    sampler_bug(
        "rows that the first limit has passed can still be drawn",
        change(_STARTS, "limits_.first <= row", "true"),
    ),
    sampler_bug(
        "a first limit that moves leaves the weights as they are",
        change(
            _STARTS,
            "std::max(old.first, limits_.first)",
            "std::min(old.first, limits_.first)",
        ),
    ),
    sampler_bug(
        "rows that are added have priority 0",
        change(_STARTS, "kNone", "0", within="priorities_.Fill({kept_end, rows}, kNone);"),
    ),
    sampler_bug(
        "a change of alpha holds for later updates only",
        change(
            _STARTS,
            "tree_.size()",
            "tree_.first_leaf()",
            within="{tree_.first_leaf(), tree_.size()}, rule",
        ),
    ),
    sampler_bug(
        "new starts get priority 1",
        change(_DRAWS, "options_.initial.value_or(largest_)", "options_.initial.value_or(1)"),
    ),
    sampler_bug(
        "the largest priority is that of the last update",
        change(
            _DRAWS,
            "largest_",
            "1.0",
            within="double largest = largest_;\n  double checked",
        ),
    ),
    sampler_bug(
        "loaded priorities do not count as the largest",
        change(_DRAWS, "largest_ = largest;", ";", within="values, rule);\n  largest_ = largest;"),
    ),
    sampler_bug(
        "updates of dropped rows are not counted",
        change(_DRAWS, "++dropped;", ";"),
    ),
    sampler_bug(
        "all windows of a batch are drawn from the first part",
        change(_DRAWS, "static_cast<double>(i) + fraction", "fraction"),
    ),
    sampler_bug(
        "the total of earlier stores is not taken off",
        change(_DRAWS, "before += total;", ";"),
    ),
    sampler_bug(
        "weights are not corrected by the number of windows",
        change(_DRAWS, "std::log(probability / uniform)", "std::log(probability)"),
    ),
    sampler_bug(
        "a priority that is NaN is taken",
        change(
            _DRAWS, "!(priority >= 0 && fits)", "priority < 0 || (priority == priority && !fits)"
        ),
    ),
    sampler_bug(
        "the smallest weight of the stores is that of the last one",
        change(_DRAWS, "smallest == 0 || (weight > 0 && weight < smallest)", "true"),
    ),
]
