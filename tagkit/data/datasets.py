"""What can be fetched, by name; each dataset's own file says from where."""

from tagkit.data import fma, magnatagatune, msd
from tagkit.data.download import Download, DownloadError

DOWNLOADS = {"magnatagatune": magnatagatune.DOWNLOAD, **fma.DOWNLOADS, "msd_lastfm": msd.DOWNLOAD}


def find(name: str) -> Download:
    """What is fetched for a dataset; DownloadError names those that there are."""
    if name not in DOWNLOADS:
        raise DownloadError(f"there is no dataset {name!r} to fetch; choose one of {', '.join(DOWNLOADS)}.")
    return DOWNLOADS[name]
