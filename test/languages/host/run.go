package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// language is what differs from one host to the next.
type language struct {
	generate generator
	// command runs a program: its words, then arguments and environment that tell it of the engine.
	command func(*pulumirpc.RunRequest, string) []string
}

var languages = map[string]language{
	"go":     {generate: generateGo, command: goProgram},
	"nodejs": {generate: generateNodejs, command: nodejsProgram},
	"python": {generate: generatePython, command: pythonProgram},
}

// Go programs are told everything by their environment.
func goProgram(*pulumirpc.RunRequest, string) []string {
	return []string{"go", "run", "."}
}

func nodejsProgram(request *pulumirpc.RunRequest, engine string) []string {
	arguments := []string{"node", nodejsModule(request.Info.ProgramDirectory, "cmd/run"), "--dry-run"}
	return append(arguments, options(request, engine)...)
}

// The script is Pulumi's own; LANGUAGE_HOST_PYTHON_EXEC says where it is.
func pythonProgram(request *pulumirpc.RunRequest, engine string) []string {
	arguments := []string{pythonOf(request.Info), os.Getenv("LANGUAGE_HOST_PYTHON_EXEC"), "--dry_run", strconv.FormatBool(request.DryRun)}
	return append(arguments, options(request, engine)...)
}

// pythonOf is the interpreter of the virtual environment that Pulumi.yaml names.
func pythonOf(info *pulumirpc.ProgramInfo) string {
	name := info.Options.GetFields()["virtualenv"].GetStringValue()
	if name == "" {
		return "python3"
	}
	return filepath.Join(info.RootDirectory, name, "bin", "python3")
}

func options(request *pulumirpc.RunRequest, engine string) []string {
	return []string{
		"--monitor", request.MonitorAddress, "--engine", engine, "--project", request.Project,
		"--stack", request.Stack, "--organization", request.Organization, "--pwd", request.Pwd,
		"--parallel", strconv.Itoa(int(request.Parallel)), request.Info.EntryPoint,
	}
}

// Run executes a user's program.
func (h *host) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	values := request.Config
	if values == nil {
		values = map[string]string{}
	}
	config, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	words := h.language.command(request, h.engine)
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	command.Dir = request.Info.ProgramDirectory
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.Env = append(os.Environ(),
		"PULUMI_CONFIG="+string(config),
		"PULUMI_CONFIG_SECRET_KEYS=[]",
		"PULUMI_DRY_RUN="+strconv.FormatBool(request.DryRun),
		"PULUMI_ENGINE="+h.engine,
		"PULUMI_MONITOR="+request.MonitorAddress,
		"PULUMI_NODEJS_TYPESCRIPT=true",
		"PULUMI_ORGANIZATION="+request.Organization,
		"PULUMI_PARALLEL="+strconv.Itoa(int(request.Parallel)),
		"PULUMI_PROJECT="+request.Project,
		"PULUMI_ROOT_DIRECTORY="+request.Info.RootDirectory,
		"PULUMI_STACK="+request.Stack,
	)
	if err := command.Run(); err != nil {
		return &pulumirpc.RunResponse{Error: err.Error()}, nil
	}
	return &pulumirpc.RunResponse{}, nil
}

// RunPlugin serves a package that is written in Node.js, by the program that Pulumi's own host runs for it.
func (h *host) RunPlugin(
	request *pulumirpc.RunPluginRequest, server grpc.ServerStreamingServer[pulumirpc.RunPluginResponse],
) error {
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(server, false)
	if err != nil {
		return err
	}
	defer closer.Close()
	program := request.Info.ProgramDirectory
	arguments := append([]string{nodejsModule(program, "cmd/run-plugin"), program}, request.Args...)
	command := exec.CommandContext(server.Context(), "node", arguments...)
	command.Dir = request.Pwd
	command.Env = append(request.Env, "PULUMI_NODEJS_TYPESCRIPT=true")
	command.Stdout, command.Stderr = stdout, stderr
	return command.Run()
}

func nodejsModule(directory, name string) string {
	for at := directory; ; at = filepath.Dir(at) {
		module := filepath.Join(at, "node_modules/@pulumi/pulumi", name)
		if _, err := os.Stat(module); err == nil || at == filepath.Dir(at) {
			return module
		}
	}
}
