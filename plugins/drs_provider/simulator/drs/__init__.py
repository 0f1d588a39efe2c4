"""DRS as a moto service: jobs, source servers, recovery instances, snapshots, native recovery plans."""
