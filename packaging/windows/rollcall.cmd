@rem Runs Rollcall with the Python that it has brought; -I: neither the environment nor this directory decides what is imported.
@"%~dp0..\python\python.exe" -I -B -m agent %*
