"""Tests of the installer, module by module, and the attacks it must withstand."""
