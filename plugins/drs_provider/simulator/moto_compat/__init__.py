"""Everything that the simulator uses or replaces of moto's inside, so that a new moto is one place to look at.

`seams` lists it; `install` refuses a moto in which a part of it is gone.
"""
