"""The queue of this machine: jobs that wait for what they need, and a process that starts them one after the other.

``record`` is what is known of a job, ``journal`` keeps all of them on disk, ``needs`` finds what may start now,
``service`` is the process, ``starter`` starts one job so that nothing ever runs twice, and ``door`` is what everybody
else calls: commands, screens, scripts.
"""
