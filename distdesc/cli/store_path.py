"""An argument that names a store, be it a folder or in a bucket."""

from __future__ import annotations

from typing import Any

import click

from distdesc.place import Place, place


class StorePath(click.ParamType):  # type: ignore[type-arg]
    """A store: a folder, or a place in a bucket, such as ``s3://bucket/name.zarr``."""

    name = "store"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """
        Place of what a user typed.

        Parameters
        ----------
        value : object
            A text.
        param, ctx : optional
            For click.

        Raises
        ------
        CampaignError
            If it is a URL of something else.
        """
        return place(value)
