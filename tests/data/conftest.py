"""The scores of the demo, and folders to render them into."""

import shutil

import pytest

from tagkit.data.demo import build


@pytest.fixture(scope="session")
def pool(scores_folder):
    """All scores of the demo, and the number of the piece of each."""
    return build.load_scores(scores_folder)


@pytest.fixture
def new_root(scores_folder, tmp_path_factory):
    """Make folders to render into; the scores are there already."""

    def make():
        root = tmp_path_factory.mktemp("demo")
        shutil.copy(scores_folder / build.SCORES, root)
        return root

    return make
