"""Defects put into a healthy installed host one after the other, each found by exactly the checks that it concerns.

`table` says what is broken and which checks must see it; `files`, `service`, `surroundings` break it;
`installed` is the host and what a person does with it; `judging` compares and tells, without any host.
"""
