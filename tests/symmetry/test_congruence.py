"""Operations that bring one environment onto another, and what equal environments hide."""

from __future__ import annotations

import numpy as np
import pytest
from reference.batches import random_rotation

from distdesc.structures.environment import Environments
from distdesc.symmetry.congruence import find_map
from distdesc.symmetry.structure_nulls import expected_structure_nulls

CHIRAL = np.array([[1.0, 0.2, 0.1], [-0.3, 1.1, 0.4], [0.2, -0.6, 1.3], [-0.9, -0.8, -0.7]])
SETS = {
    "general": (CHIRAL, [1, 1, 6, 8]),
    "plane": (CHIRAL * [1, 1, 0], [1, 1, 1, 1]),
    "line": (np.outer([1.0, -1.0, 0.3], [0.6, 0.0, 0.8]), [1, 8, 6]),
    "ends as far": (np.outer([1.0, -1.0], [0.6, 0.0, 0.8]), [8, 1]),
    "origin": (np.zeros((1, 3)), [1]),
    "nothing": (np.empty((0, 3)), []),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_set_is_brought_back_onto_itself_however_turned_and_ordered(name, mirrored):
    points, numbers = np.array(SETS[name][0]), np.array(SETS[name][1], dtype=np.int64)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(points))
        goal = (points * (-1 if mirrored else 1) @ random_rotation(rng).T)[order]
        found = find_map(points, numbers, goal, numbers[order], 1e-3)
        assert found is not None
        operation, images = found
        assert np.allclose(points @ operation.T, goal[images], rtol=0, atol=1e-12)
        assert np.array_equal(numbers, numbers[order][images])
        proper = find_map(points, numbers, goal, numbers[order], 1e-3, improper=False)
        assert (proper is None) == (mirrored and name == "general")


def test_other_elements_distances_or_angles_are_other_sets():
    numbers = np.array([1, 1, 6, 8])
    bent = CHIRAL.copy()
    bent[3] = np.linalg.norm(bent[3]) * np.array([0.0, 0.0, -1.0])
    for goal, goal_numbers in [
        (CHIRAL, numbers[::-1]), (CHIRAL, np.array([1, 1, 6, 6])), (1.01 * CHIRAL, numbers),
        (bent, numbers), (CHIRAL[:3], numbers[:3]), (CHIRAL * [1, 0, 0], numbers),
    ]:  # fmt: skip
        assert find_map(CHIRAL, numbers, np.ascontiguousarray(goal), goal_numbers, 1e-3) is None


@pytest.mark.parametrize(("centres", "seen"), [([6, 6], 1), ([6, 7], 2)])
def test_a_sum_adds_up_equal_environments_of_one_element_only(centres, seen):
    # each of two atoms sees one other, as far away; those see nothing
    environments = Environments(
        offsets=np.array([0, 1, 2, 2, 2]),
        vectors=np.array([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]]),
        numbers=np.array([1, 1], dtype=np.int32),
        neighbours=np.array([2, 3]),
        centres=np.arange(4),
        centre_numbers=np.array([*centres, 1, 1], dtype=np.int32),
    )
    assert expected_structure_nulls(environments, 0, "sum") == 12 - seen
    assert expected_structure_nulls(environments, 0, "stack") == 12 - 2


def test_a_line_is_no_bent_set_of_the_same_height():
    line = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    numbers = np.array([1, 1])
    assert find_map(line, numbers, line + np.array([0.3, 0.0, 0.0]), numbers, 1e-3) is None
