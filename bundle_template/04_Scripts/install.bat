@echo off
rem Run install.py with a Python 3.9 or newer of this host, else with the one in the bundle. Not run on Windows yet.
rem ASCII only: cmd reads this file in the code page of the console.
setlocal EnableExtensions DisableDelayedExpansion

rem What would decide about an interpreter before install.py can look at it.
for %%V in (PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE PYTHONINSPECT) do set "%%V="
set "HERE=%~dp0"
set "FITS=import sys; sys.exit(sys.version_info < (3, 9))"

rem The launcher knows every Python of the host; "python" may be the stub that only opens the Microsoft Store.
set "RUN="
py -3 -I -c "%FITS%" >nul 2>&1 && set "RUN=py -3"
for %%P in (python3 python) do if not defined RUN (%%P -I -c "%FITS%" >nul 2>&1 && set "RUN=%%P")
if not defined RUN goto :bundled
%RUN% -I -B "%HERE%install.py" %*
exit /b %ERRORLEVEL%

:bundled
set "ARCHIVE="
for %%F in ("%HERE%..\01_Prerequisites\*.tar.gz") do set "ARCHIVE=%%~fF"
if not defined ARCHIVE (
    echo error: no Python 3.9 or newer on this host, and none in the bundle 1>&2
    exit /b 12
)
set "TAR=%SystemRoot%\System32\tar.exe"
if not exist "%TAR%" (
    echo error: this Windows has no tar.exe to unpack the bundled Python with; install Python 3.9 or newer 1>&2
    exit /b 12
)

rem The archive is used before install.py can verify it, so its digest is compared here.
for %%F in ("%ARCHIVE%") do set "NAME=%%~nxF"
set "DIGEST="
for /f "skip=1 delims=" %%H in ('certutil -hashfile "%ARCHIVE%" SHA256') do if not defined DIGEST set "DIGEST=%%H"
set "DIGEST=%DIGEST: =%"
findstr /I /L /C:"%DIGEST%  01_Prerequisites/%NAME%" "%HERE%..\checksums.sha256" >nul
if errorlevel 1 (
    echo error: 01_Prerequisites/%NAME% does not match checksums.sha256 1>&2
    exit /b 10
)

set "RAGTRACE_TEMPORARY_PYTHON=%TEMP%\ragtrace-python-%RANDOM%%RANDOM%"
mkdir "%RAGTRACE_TEMPORARY_PYTHON%" || exit /b 12
"%TAR%" -xzf "%ARCHIVE%" -C "%RAGTRACE_TEMPORARY_PYTHON%"
set "PYTHON="
for /d %%D in ("%RAGTRACE_TEMPORARY_PYTHON%\*") do if exist "%%D\python.exe" set "PYTHON=%%D\python.exe"
if not defined PYTHON (
    rmdir /s /q "%RAGTRACE_TEMPORARY_PYTHON%"
    echo error: the bundled Python cannot be unpacked to %TEMP% 1>&2
    exit /b 12
)
"%PYTHON%" -I -B "%HERE%install.py" %*
set "STATUS=%ERRORLEVEL%"
rmdir /s /q "%RAGTRACE_TEMPORARY_PYTHON%"
exit /b %STATUS%
