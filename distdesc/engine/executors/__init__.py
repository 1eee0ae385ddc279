"""Things that run tasks. To add an executor: one file and one line here."""

EXECUTORS = {
    "dask": "distdesc.engine.executors.dask:DaskExecutor",
    "serial": "distdesc.engine.executors.serial:SerialExecutor",
}
