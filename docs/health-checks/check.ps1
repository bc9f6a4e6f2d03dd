# How an application on a Windows guest is, for a health check of masakari-qga (kind = exec). See docs/health-checks.rst.
#
#   powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File check.ps1
#       [-Service NAMES] [-Port NUMBERS] [-Url ADDRESSES] [-Starting FILE] [-Reset FILE] [-Seconds N]
#
# -Service   these services must run
# -Port      something must listen on these TCP ports
# -Url       must be answered with 2xx or 3xx
# -Starting  while this file is there, what is not well is still coming up
# -Reset     while this file is there, the guest asks to be recovered; its first line is the reason. Have it deleted when
#            Windows starts, or it would outlive the recovery and ask for the next
# -Seconds   that each address may take (3)
#
# Several are separated by commas. One line is printed, of 200 characters at most, and the exit code is 0 healthy,
# 1 unhealthy, 2 initialising, 3 unknown; of several the worst counts, and unhealthy is worse than unknown.
# For Windows PowerShell 5.1 and later. Each run starts a PowerShell: once a minute is often enough.
param(
    [string] $Service = '',
    [string] $Port = '',
    [string] $Url = '',
    [string] $Starting = '',
    [string] $Reset = '',
    [int] $Seconds = 3
)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

$Healthy, $Unhealthy, $Initialising, $Unknown = 0, 1, 2, 3
$Graver = @($Healthy, $Initialising, $Unknown, $Unhealthy)
$found = New-Object System.Collections.ArrayList

function Add-Finding([int] $Code, [string] $Text) {
    [void] $found.Add(@{ Code = $Code; Text = $Text })
}

# With -File a list comes as one text.
function Split-List([string] $Text) {
    @($Text -split ',' | ForEach-Object { $_.Trim() } | Where-Object { $_ -ne '' })
}

function Test-Service([string] $Name) {
    $it = Get-Service -Name $Name -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($null -eq $it) {
        Add-Finding $Unknown "there is no service $Name"
    } elseif ($it.Status -eq 'Running') {
        Add-Finding $Healthy "$Name runs"
    } elseif ($it.Status -eq 'StartPending' -or $it.Status -eq 'ContinuePending') {
        Add-Finding $Initialising "$Name is starting"
    } else {
        Add-Finding $Unhealthy "$Name is $($it.Status)"
    }
}

function Test-Port([int] $Number) {
    $network = [System.Net.NetworkInformation.IPGlobalProperties]::GetIPGlobalProperties()
    if (@($network.GetActiveTcpListeners() | Where-Object { $_.Port -eq $Number }).Count) {
        Add-Finding $Healthy "port $Number listens"
    } else {
        Add-Finding $Unhealthy "nothing listens on port $Number"
    }
}

function Test-Url([string] $Address) {
    $request = [System.Net.WebRequest]::Create($Address)
    $request.Timeout = $Seconds * 1000
    $request.Proxy = $null
    try {
        $response = $request.GetResponse()
        Add-Finding $Healthy "$Address answers $([int] $response.StatusCode)"
        $response.Close()
    } catch {
        # PowerShell wraps what a method throws.
        $cause = $_.Exception
        while ($cause -isnot [System.Net.WebException] -and $null -ne $cause.InnerException) {
            $cause = $cause.InnerException
        }
        if ($cause -isnot [System.Net.WebException]) { throw }
        if ($null -ne $cause.Response) {
            Add-Finding $Unhealthy "$Address answers $([int] $cause.Response.StatusCode)"
        } else {
            Add-Finding $Unhealthy "$Address does not answer: $($cause.Status)"
        }
    }
}

# One line, of characters that are harmless anywhere. Ends the script.
function Write-Answer([int] $Code, [string] $Text) {
    $line = $Text -replace '[^ -~]', ' '
    Write-Output $line.Substring(0, [Math]::Min(200, $line.Length))
    exit $Code
}

try {
    if ($Reset -ne '' -and (Test-Path -LiteralPath $Reset)) {
        Write-Answer $Unhealthy "reset-me $(Get-Content -LiteralPath $Reset -TotalCount 1)"
    }
    Split-List $Service | ForEach-Object { Test-Service $_ }
    Split-List $Port | ForEach-Object { Test-Port $_ }
    Split-List $Url | ForEach-Object { Test-Url $_ }
} catch {
    Add-Finding $Unknown "check.ps1: $($_.Exception.Message)"
}

if ($found.Count -eq 0 -and $Reset -eq '') {
    Write-Answer $Unknown 'check.ps1: nothing was asked for; give -Service, -Port or -Url'
}
$code = $Healthy
foreach ($it in $found) {
    if ([array]::IndexOf($Graver, $it.Code) -gt [array]::IndexOf($Graver, $code)) { $code = $it.Code }
}
$shown = @($found | Where-Object { $_.Code -ne $Healthy -or $code -eq $Healthy } | ForEach-Object { $_.Text })
if ($code -ne $Healthy -and $Starting -ne '' -and (Test-Path -LiteralPath $Starting)) { $code = $Initialising }
if ($shown.Count -eq 0) { $shown = @('no reset is asked for') }
Write-Answer $code ($shown -join ', ')
