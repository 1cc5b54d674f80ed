"""Being here makes the fakes of this folder importable from the tests of every room."""
