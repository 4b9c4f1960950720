"""Datasets by name: what is fetched for each, and what a reader should know of it."""

from tagkit.data import demo, fma, jamendo, magnatagatune, msd
from tagkit.data.download import Download, DownloadError

DOWNLOADS = {
    "magnatagatune": magnatagatune.DOWNLOAD,
    **fma.DOWNLOADS,
    "msd_lastfm": msd.DOWNLOAD,
    "jamendo": jamendo.TABLES,
}
# By the name of the catalogue.
ABOUT = {"demo": demo.ABOUT, "magnatagatune": magnatagatune.ABOUT, "msd": msd.ABOUT}
ABOUT |= {f"jamendo_{tags}": jamendo.ABOUT for tags in jamendo.SETS}
ABOUT |= {f"fma_{subset}": fma.ABOUT for subset in fma.SUBSETS}


def find(name: str) -> Download:
    """What is fetched for a dataset; DownloadError names those that there are."""
    if name not in DOWNLOADS:
        raise DownloadError(f"there is no dataset {name!r} to fetch; choose one of {', '.join(DOWNLOADS)}.")
    return DOWNLOADS[name]
